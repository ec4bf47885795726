// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Back to before v4.5: maps have no names.
@@
@@
-const char *bpf_map_fetch_name(...) { ... }

@@
@@
-bpf_map_fetch_name(...)
+NULL
