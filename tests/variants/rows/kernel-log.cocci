// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// On to v6.15, where libbpf is asked for the verifier's log.
@@
identifier cfg, obj, opts;
@@
 load_bpf_object(struct bpf_cfg_in *cfg)
 {
 <...
+opts.kernel_log_level = 1;
+if (cfg->verbose) {
+	opts.kernel_log_level |= 2;
+}
 obj = bpf_object__open_file(cfg->object, &opts);
 ...>
 }
