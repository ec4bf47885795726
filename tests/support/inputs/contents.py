# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Content of a directory or of a source package that is not what it claims to be."""

from __future__ import annotations

from collections.abc import Iterator

from support.inputs.rows import Row, row

TREES = (
    *("nochangelog", "latinchangelog", "emptychangelog", "binarychangelog", "fifochangelog"),
    *("zerochangelog", "foldername", "badversion"),
)
DSCS = (
    *("dscfifo", "dscfolder", "dscsparse", "dsclink", "dscoutside", "dscwrongsum", "dscnofiles"),
    *("dscother", "dscnul", "dscmany", "dscformat"),
)
RUNS = (
    *("runfifo", "runlink", "runzero", "runabsolute", "rundots", "runsparse", "runchanged"),
    *("runnosource",),
)
DEBS = (
    *("debsempty", "debsfifo", "debsbinary", "debsother", "debsnofile", "debswrongsum"),
    *("debsinfo", "debsfiledeb", "debsoutside"),
)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    for thing in TREES:
        yield row(f"fetch --release bookworm --tree {{{thing}}}", 10)
    yield row("patch --release bookworm --tree {fifotree}", 10)
    yield row("diagnose --tree {fifoloader}", 10)
    yield row("diagnose --tree {zeroloader}", 10)
    yield row("diagnose --tree {linkedloader}", 10)
    for thing in DSCS:
        yield row(f"fetch --release bookworm --dsc {{{thing}}}", 10)
        yield row(f"diagnose --dsc {{{thing}}}", 10)
    for thing in RUNS:
        code = 2 if thing in ("runabsolute", "rundots") else 10
        yield row(f"patch {{{thing}}}", code)
        yield row(f"build {{{thing}}}", code)
        yield row(f"prove {{{thing}}}", code)
    for thing in DEBS:
        yield row(f"prove {{patched}} --debs {{{thing}}}", 13)
    for thing in ("text", "fifo", "missing", "loop", "zero"):
        yield row(f"prove {{patched}} --debs {{{thing}}}", 2)
