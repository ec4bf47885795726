# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Loaders that were broken on purpose, built from the fixed source of Debian's 6.1.0-3."""

from __future__ import annotations

import functools
import re
import shutil
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.containers.base import User, copy_in, copy_out
from pipeline.fixes import fixes, patch
from pipeline.host import command
from pipeline.host.cache import digest
from support import real, rows

DIRECTORY = Path(__file__).parent
SCRIPT = DIRECTORY / "build-breakages.sh"
SOURCES = ("lib/bpf_legacy.c", "lib/bpf_libbpf.c")
SOUND = "sound"


@dataclass(frozen=True, kw_only=True)
class Breakage:
    """One of breakages.toml."""

    name: str
    function: str
    old: str
    new: str
    red: tuple[str, ...]


def all_breakages() -> tuple[Breakage, ...]:
    """Return every breakage of breakages.toml."""
    data = tomllib.loads((DIRECTORY / "breakages.toml").read_text())
    return tuple(
        Breakage(name=name, red=tuple(fields.pop("red")), **fields) for name, fields in data.items()
    )


def broken(text: str, breakage: Breakage) -> str | None:
    """Return a source with one breakage; None if it does not define the function."""
    pattern = rf"(?ms)^[^\n;{{}}]*\b{breakage.function}\([^;{{]*?\)\n\{{.*?^\}}$"
    found = re.search(pattern, text)
    if not found:
        return None
    assert breakage.old in found[0], breakage.name
    changed = found[0].replace(breakage.old, breakage.new)
    return text[: found.start()] + changed + text[found.end() :]


@functools.cache
def binaries() -> Path:
    """Return a directory with sound.tc and NAME.tc of each breakage, built if need be."""
    everything = all_breakages()
    with TemporaryDirectory() as tmp:
        tree = fixed(Path(tmp) / "tree")
        rows.make_smaller(tree)
        texts = {name: (tree / name).read_text() for name in SOURCES}
        changed = {
            each.name: next((name, new) for name in SOURCES if (new := broken(texts[name], each)))
            for each in everything
        }
        read = (SCRIPT, tree / "tc/Makefile", tree / "ip/Makefile")
        parts = [*(path.read_text() for path in read), *texts.values()]
        parts += [text for _, text in changed.values()]

        def make(part: Path) -> None:
            part.mkdir()
            files = []
            for name, (file, text) in changed.items():
                (Path(tmp) / f"{name}.c").write_text(text)
                (Path(tmp) / f"{name}.file").write_text(Path(file).name)
                files += [Path(tmp) / f"{name}.c", Path(tmp) / f"{name}.file"]
            names = list(changed)
            made = [f"{SOUND}.ip", *(f"{name}.tc" for name in (SOUND, *names))]
            build(tree, [*files, SCRIPT], SCRIPT.name, names, made, part)

        return real.cache().entry("breakages", digest(*parts), make)


def fixed(tree: Path) -> Path:
    """Make the fixed source in ``tree``, and return that."""
    command.run(["dpkg-source", "--no-check", "-x", real.dsc(), tree])
    for fix in fixes.choose(["libbpf-legacy-maps", "af-alg"]):
        patch.apply_fix(tree, fix)
    return tree


def build(
    tree: Path, files: list[Path], script: str, words: list[str], made: list[str], dest: Path
) -> None:
    """Run a script of ``files`` in a source tree in the build root; fetch what it made into dest.

    The files are in the directory above the tree, where the script also leaves what it makes.
    """
    with real.root().root.start(real.cache()) as container, TemporaryDirectory() as tmp:
        archive = Path(tmp) / "tree.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(tree, arcname="tree")
        copy_in(container, [archive, *files], "/build")
        container.call(["tar", "-xf", archive.name], directory="/build")
        container.call(["update-ccache-symlinks"], user=User.ROOT)
        container.call(
            ["sh", f"../{script}", *words],
            directory="/build/tree",
            env={
                "PATH": "/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin",
                "CCACHE_DIR": "/build/ccache",
            },
            timeout=900,
        )
        copy_out(container, "/build", made, dest)


def sound_deb(distro: Path, directory: Path) -> Path:
    """Return the distro's package with the fixed tc and ip in it, and respin's version."""
    tree = directory / "sound"
    command.run(["dpkg-deb", "--raw-extract", distro, tree])
    for name, path in (("tc", "sbin/tc"), ("ip", "bin/ip")):
        shutil.copyfile(binaries() / f"{SOUND}.{name}", tree / path)
    return repack(
        tree, f"{real.VERSION}+bpf1", directory / f"iproute2_{real.VERSION}+bpf1_test.deb"
    )


def repack(tree: Path, version: str, deb: Path) -> Path:
    """Build an unpacked package again, with another version."""
    control = tree / "DEBIAN" / "control"
    text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text())
    control.write_text(text)
    command.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, deb])
    return deb
