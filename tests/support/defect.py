"""A package with the defect stt-object, made from Debian's verified 6.1.0-3.

The distros that released it cannot be reached from everywhere; here the three functions are
turned back by an inverse semantic patch, and libbpf is taken out of the build dependencies,
as it was in those releases.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline import command, patch
from support import real

VERSION = "6.1.0-3.1"
INVERSE = Path(__file__).with_name("stt-object-inverse.cocci")
LOADER = "lib/bpf_legacy.c"

ENTRY = """iproute2 ({version}) unstable; urgency=medium

  * For a test.

 -- Nobody <nobody@example.org>  Mon, 22 May 2023 15:00:00 +0100

"""


def renumbered(folder: Path, version: str, change: Callable[[Path], None] | None = None) -> Path:
    """Make Debian's source another version in ``folder``, a new one, and return its .dsc.

    ``change`` is what is done to its tree.
    """
    folder.mkdir(parents=True)
    tree = folder / "iproute2-6.1.0"
    command.run(["dpkg-source", "--no-check", "-x", real.dsc(), tree], cwd=folder)
    shutil.copy(real.dsc().with_name("iproute2_6.1.0.orig.tar.xz"), folder)
    if change:
        change(tree)
    changelog = tree / "debian/changelog"
    changelog.write_text(ENTRY.format(version=version) + changelog.read_text())
    command.run(["dpkg-source", "-b", tree.name], cwd=folder)
    shutil.rmtree(tree)
    return folder / f"iproute2_{version}.dsc"


def stt_object(folder: Path, version: str = VERSION) -> Path:
    """Make the source package in ``folder`` (which must not exist) and return its .dsc."""
    return renumbered(folder, version, _put_back)


def _put_back(tree: Path) -> None:
    """Put the defect into an unpacked source."""
    old = tree.parent / "old"
    (old / "lib").mkdir(parents=True)
    shutil.copy(tree / LOADER, old / LOADER)
    command.run(
        ["spatch", "--very-quiet", "--no-show-diff", "--in-place", "--sp-file", INVERSE, LOADER],
        cwd=tree,
    )
    diff = patch.unified(old, tree, [LOADER])
    assert diff.count("GELF_ST_TYPE(sym.st_info) != STT_NOTYPE") == 3
    shutil.copy(old / LOADER, tree / LOADER)
    shutil.rmtree(old)
    (tree / "debian/patches/put-back.patch").write_text(f"Description: a defect\n{diff}")
    with (tree / "debian/patches/series").open("a") as series:
        series.write("put-back.patch\n")
    control = tree / "debian/control"
    text, removed = re.subn(r" *libbpf-dev[^,]*,\n", "", control.read_text())
    assert removed == 1
    control.write_text(text)
