// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Back to before v5.11: no libbpf.
@@
identifier cfg;
@@
 bpf_do_load(struct bpf_cfg_in *cfg)
 {
 <...
-return iproute2_load_libbpf(cfg);
 ...>
 }
