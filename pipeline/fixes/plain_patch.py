# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches for an upstream tree that is no package: as ``git format-patch`` writes them.

``git am``, ``git apply``, patch(1) and quilt all read that form. The message has the form of
iproute2's own commits (its README.devel and the kernel's submitting-patches); what only the person
knows who sends it is left for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.fixes.fixes import Fix
from pipeline.fixes.patch import AUTHOR, diffs
from pipeline.host.resources import render

NAME = 52
"""Characters of a subject in the name of a file, as in git."""


@dataclass(frozen=True, kw_only=True)
class PlainPatch:
    """The patch of one fix."""

    fix: str
    name: str
    """The name of its file; in the order of the names, each applies on top of the one before."""
    text: str


def make(tree: Path, fixes: Sequence[Fix], work: Path) -> tuple[PlainPatch, ...]:
    """Return the patches of the ``fixes`` that a tree needs; it is not changed.

    ``work`` is an empty directory. Raises PatchError.
    """
    made = []
    for number, (fix, diff) in enumerate(diffs(tree, fixes, work), 1):
        subject, body = message(fix)
        word = re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")[:NAME].rstrip("-.")
        text = render("commit.patch.j2", author=AUTHOR, subject=subject, body=body, diff=diff)
        made.append(PlainPatch(fix=fix.name, name=f"{number:04}-{word}.patch", text=text))
    return tuple(made)


def message(fix: Fix) -> tuple[str, str]:
    """Return the subject and the body of a commit that is this fix, from its DEP-3 fields."""
    subject, *rest = fix.dep3["Description"].splitlines()
    lines = ["" if line.strip() == "." else line.removeprefix(" ") for line in rest]
    # What would end the message, or begin a patch.
    lines = [
        re.sub(r"^(---|\+\+\+|@@|diff |Index: |From |Subject: )", r" \1", line) for line in lines
    ]
    upstream = fix.dep3.get("Applied-Upstream")
    if upstream:
        lines += ["", f"Applied upstream: {upstream}"]
    return subject, "\n".join(lines).strip("\n")
