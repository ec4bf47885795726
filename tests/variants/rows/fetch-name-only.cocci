// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Back to before v4.10: maps are not counted by symbols, but their size is.
@@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs};
@@
-int f(...) { ... }

@@
identifier ctx;
@@
-bpf_map_num_sym(ctx)
+ctx->map_num / sizeof(struct bpf_elf_map)

@@
identifier ctx;
expression end;
@@
-bpf_map_verify_all_offs(ctx, end)
+end % sizeof(struct bpf_elf_map)
