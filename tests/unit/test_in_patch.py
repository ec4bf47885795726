# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions and variables a patch changes, by the source before and after."""

from __future__ import annotations

from pathlib import Path

from pipeline.runs.comparing import in_patch

BEFORE = """
static int total;
/* A comment that names edited(). */
int edited(int n) { return n + 1; }
int same(int n) { return edited(n); }
int gone(void) { return total; }
"""
AFTER = """
static int total, more;
/* Another comment that names same(). */
int edited(int n) { return n + 2; }
int same(int n) { return edited(n); }
int added(void) { return more; }
"""
PATCH = """Description: a change
--- a/lib/it.c
+++ b/lib/it.c
@@ -1 +1 @@
-old
+new
"""


def test_what_differs_in_a_file_that_the_patch_changes(tmp_path: Path) -> None:
    for name, text in (("old", BEFORE), ("new", AFTER)):
        for file in ("it.c", "other.c"):
            (tmp_path / name / "lib").mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "lib" / file).write_text(text.replace("same", f"same_{file[0]}"))
    (tmp_path / "it.patch").write_text(PATCH)
    changes = in_patch(tmp_path / "old", tmp_path / "new", [tmp_path / "it.patch"])
    assert [
        n for n in ("edited", "added", "gone", "more", "edited.constprop") if not changes(n)
    ] == []
    assert [n for n in ("same_i", "same_o", "unknown") if changes(n)] == []


def test_no_file_outside_the_tree_is_read(tmp_path: Path) -> None:
    for name, text in (("old", BEFORE), ("new", AFTER)):
        (tmp_path / name / "tree").mkdir(parents=True)
        (tmp_path / name / "it.c").write_text(text)
    (tmp_path / "it.patch").write_text(PATCH.replace("lib/it.c", "../it.c"))
    old, new = (tmp_path / name / "tree" for name in ("old", "new"))
    assert not in_patch(old, new, [tmp_path / "it.patch"])("edited")
