// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Back to before v4.13: no maps in maps, so that struct bpf_elf_map has 28 bytes.
@@
expression map;
@@
(
-map->inner_id
+0
|
-map.inner_id
+0
|
-map.inner_idx
+0
)
