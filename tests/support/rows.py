# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's verified 6.1.0-3, turned back to each row of docs/facts.md by semantic patches.

The distros that released those rows cannot be reached from everywhere. A source made here
has the original tarball, byte for byte, and carries the changes that turn it back as patches
of its own; the patched tree is diagnosed and built.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DiagnosisRefused
from pipeline.fixes import coccinelle, fixes, patch
from pipeline.host import command
from support.defect import renumbered

PATCHES = Path(__file__).parents[1] / "variants/rows"
NEW, OLD, OLDEST = "lib/bpf_legacy.c", "lib/bpf.c", "tc/tc_bpf.c"
LIBBPF = "lib/bpf_libbpf.c"
FUNCTIONS = ("bpf_map_num_sym", "bpf_map_verify_all_offs", "bpf_map_fetch_name")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where the loader was, and the semantic patches that turn it back, or on."""

    file: str = NEW
    back: tuple[str, ...] = ()


_ONE, _SMALL = "one-loader", "no-inner-maps"
ROWS = {
    "v4.0": Row(file=OLDEST, back=(_ONE, "fetch-name-only", "no-symbols", _SMALL)),
    "v4.5": Row(file=OLDEST, back=(_ONE, "skips-object", "fetch-name-only", _SMALL)),
    "v4.10": Row(file=OLD, back=(_ONE, "skips-object")),
    "7a04dd84": Row(file=OLD, back=(_ONE, "judges-previous")),
    "v4.20": Row(file=OLD, back=(_ONE,)),
    "v5.11": Row(),
    "v5.11-regressed": Row(back=("skips-object",)),
    "v5.11-7a04dd84": Row(back=("judges-previous",)),
    "v6.15": Row(back=("kernel-log",)),
}


def turn_back(tree: Path, row: Row) -> None:
    """Turn the loader of an unpacked source back to that of a row, and let it be built there."""
    for name in row.back:
        cocci = PATCHES / f"{name}.cocci"
        before = _loaders(tree)
        coccinelle.apply([tree], cocci, [NEW, LIBBPF], error=DiagnosisRefused, brief=name)
        assert _loaders(tree) != before, name
    if row.file == NEW:
        return
    (tree / NEW).rename(tree / row.file)
    (tree / LIBBPF).unlink()
    # Today one library serves ip and tc, so tc's old file is compiled into it.
    built = {OLD: "bpf.o", OLDEST: "../tc/tc_bpf.o"}[row.file]
    makefile = tree / "lib/Makefile"
    makefile.write_text(_replaced(makefile.read_text(), r"\bbpf_legacy\.o\b", built))
    if row.file == OLDEST:  # the function with this name is newer
        text = (tree / OLDEST).read_text()
        (tree / OLDEST).write_text(text.replace("bpf_do_load", "bpf_load"))
        header = tree / "include/bpf_elf.h"  # no-inner-maps leaves a part of it unused
        header.write_text(
            _replaced(header.read_text(), r"\t__u32 inner_id;\n\t__u32 inner_idx;\n", "")
        )


def hashes_itself(tree: Path) -> None:
    """Let the tc of an unpacked source need no AF_ALG, as upstream's since v7.0 does.

    So a row has the defects that it is about, and no other.
    """
    patch.apply_fix(tree, fixes.choose(["af-alg"])[0])


def source(
    directory: Path,
    version: str,
    *names: str,
    libbpf: bool = False,
    change: Callable[[Path], None] | None = None,
) -> Path:
    """Make ``version`` of iproute2 in ``directory``, a new one, and return its .dsc.

    It has one patch for each of the named rows, which turns the tree before it into that row and
    lets it need no AF_ALG, and one that lets only the programs with the loader be built. Without
    ``libbpf`` that library is not among the build dependencies. ``change`` changes its tree, too.
    """

    def turned(tree: Path) -> None:
        start, before, after = (directory / name for name in ("start", "a", "b"))
        _changed(tree, start)
        _changed(tree, before)
        make_smaller(start)
        _changed(start, after)
        _add_patch(tree, "smaller")
        for name in names:
            _changed(start, after)
            turn_back(after, ROWS[name])
            hashes_itself(after)
            _add_patch(tree, f"row-{name}")
        shutil.rmtree(start)
        shutil.rmtree(before)
        debian = tree / "debian"
        built = debian / "iproute2.install"
        built.write_text(_replaced(built.read_text(), rf"sbin/(?!{_BUILT}\b).*\n", "", 12))
        if not libbpf:
            control = debian / "control"
            control.write_text(_replaced(control.read_text(), r" *libbpf-dev[^,]*,\n", ""))
        if change:
            change(tree)

    return renumbered(directory, version, turned)


_BUILT = "(ip|routel|rtmon|tc)"
_TC = "q_fifo|q_prio|q_ingress|q_clsact|f_bpf|m_bpf|e_bpf|m_gact"
_IP = "xdp|xstats|bridge|bond|vrf"


def make_smaller(tree: Path) -> None:
    """Let only tc and ip be built, with few of their modules: in a third of the time."""
    top, tc, ip = (tree / name / "Makefile" for name in (".", "tc", "ip"))
    text = _replaced(top.read_text(), r" bridge misc netem genl\b", "")
    top.write_text(_replaced(text, r"SUBDIRS \+= .*\n", ""))
    tc.write_text(re.sub(rf"TCMODULES \+= (?!{_TC})\w+\.o\n", "", tc.read_text()))
    ip.write_text(re.sub(rf"\b(ip)?link_(?!{_IP})\w+\.o", "", ip.read_text()))


def _add_patch(tree: Path, name: str) -> None:
    """Add the differences between ``a`` and ``b``, beside the tree, to its patches; b becomes a."""
    a, b = tree.with_name("a"), tree.with_name("b")
    # Status 1: there are differences.
    done = command.run(["diff", "-Nurp", "a", "b"], cwd=tree.parent, check=False)
    assert done.status == 1, done.text
    path = tree / f"debian/patches/{name}.patch"
    path.write_bytes(b"Description: for a row of docs/facts.md\n" + done.stdout)
    with (tree / "debian/patches/series").open("a") as series:
        series.write(f"{path.name}\n")
    shutil.rmtree(a)
    b.rename(a)


def _loaders(tree: Path) -> list[str]:
    return [(tree / name).read_text() for name in (NEW, LIBBPF)]


def _changed(tree: Path, dest: Path) -> None:
    """Copy the files that the patches change."""
    for name in ("lib", "tc", "include", "ip"):
        shutil.copytree(tree / name, dest / name, symlinks=True)
    shutil.copy(tree / "Makefile", dest)


def _replaced(text: str, pattern: str, new: str, times: int = 1) -> str:
    text, count = re.subn(pattern, new, text)
    assert count == times, (pattern, count)
    return text
