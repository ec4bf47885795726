# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees, source packages, run directories and builds that each have one error."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.host.cache import file_sha256
from pipeline.releases import releases
from support import packages, standin

CHANGELOG = "iproute2 ({}) unstable; urgency=medium\n\n  * Caf\xe9.\n\n -- A <a@b>  {}\n"
DATE = "Mon, 02 Jan 2023 03:04:05 +0000"


def anew(path: Path, make: Callable[[Path], object]) -> None:
    """Replace a file by something else."""
    path.unlink()
    make(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make(directory: Path) -> dict[str, Path]:
    """Make all of them; return their paths by name."""
    dsc = packages.make_source(directory / "source", version="6.1.0-3")
    return {**_trees(directory), **_dscs(directory, dsc), **_runs(directory, dsc)}


def _trees(directory: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}

    def tree(name: str, spoil: Callable[[Path], object]) -> None:
        found[name] = directory / name
        (found[name] / "debian").mkdir(parents=True)
        text = CHANGELOG.format("6.1.0-3", DATE)
        (found[name] / "debian/changelog").write_text(text)
        spoil(found[name] / "debian/changelog")

    tree("nochangelog", lambda p: p.unlink())
    text = CHANGELOG.format("6.1.0-3", DATE)
    tree("latinchangelog", lambda p: p.write_bytes(text.encode("latin-1")))
    tree("emptychangelog", lambda p: p.write_text(""))
    tree("binarychangelog", lambda p: p.write_bytes(bytes(range(256)) * 20))
    tree("fifochangelog", lambda p: anew(p, os.mkfifo))
    tree("zerochangelog", lambda p: anew(p, endless))
    tree("foldername", lambda p: anew(p, Path.mkdir))
    tree("badversion", lambda p: p.write_text(CHANGELOG.format("1:2:3-", DATE)))
    tree("fifotree", lambda p: os.mkfifo(p.with_name("fifo")))
    for name in ("fifoloader", "zeroloader", "linkedloader"):
        tree(name, lambda p: (p.parents[1] / "lib").mkdir())
    os.mkfifo(found["fifoloader"] / "lib/bpf.c")
    (found["zeroloader"] / "lib/bpf.c").symlink_to("/dev/zero")
    (found["linkedloader"] / "lib/bpf.c").symlink_to("/etc/passwd")
    return found


def _dscs(directory: Path, dsc: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    tarball = "iproute2_6.1.0.orig.tar.gz"

    def spoilt(name: str, spoil: Callable[[Path, Path], object]) -> None:
        shutil.copytree(dsc.parent, directory / name)
        found[name] = directory / name / dsc.name
        spoil(found[name], directory / name / tarball)

    def said(old: str, new: str) -> Callable[[Path, Path], object]:
        return lambda d, _: d.write_text(d.read_text().replace(old, new))

    def sparse(_: Path, path: Path) -> None:
        with path.open("r+b") as f:
            f.truncate(50 << 30)

    spoilt("dscfifo", lambda _, t: anew(t, os.mkfifo))
    spoilt("dscfolder", lambda _, t: anew(t, Path.mkdir))
    spoilt("dscsparse", sparse)
    spoilt("dsclink", lambda _, t: anew(t, endless))
    spoilt("dscoutside", said(tarball, f"../{tarball}"))
    spoilt("dscwrongsum", lambda _, t: t.write_bytes(t.read_bytes()[:-1] + b"x"))
    spoilt("dscnofiles", said("Checksums-Sha256", "Checksums-Sha1024"))
    spoilt("dscother", said("Source: iproute2", "Source: iproute3"))
    spoilt("dscnul", said("Version: 6", "Version: 6\0"))
    spoilt("dscmany", lambda d, _: d.write_text(d.read_text() + "X-More: x\n" * 200_000))
    spoilt("dscformat", lambda d, _: d.write_bytes(b"\xff" + d.read_bytes()))
    return found


def _runs(directory: Path, dsc: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    release = releases.find("bookworm")

    def run(name: str, spoil: Callable[[Path], object] = lambda _: None) -> Path:
        found[name] = standin.make(directory / name, dsc, release)
        spoil(found[name])
        return found[name]

    def report(old: str, new: str) -> Callable[[Path], object]:
        def change(path: Path) -> None:
            text = (path / "report.json").read_text()
            assert old in text
            (path / "report.json").write_text(text.replace(old, new))

        return change

    def sparse(path: Path) -> None:
        with (path / "source/big").open("wb") as f:
            f.truncate(50 << 30)

    own = f"source/{dsc.name}"
    run("runfifo", lambda p: os.mkfifo(p / "source/fifo"))
    run("runlink", lambda p: (p / "source/x").symlink_to("/etc/passwd"))
    run("runzero", lambda p: (p / "source/x").symlink_to("/dev/zero"))
    run("runabsolute", report(f'"{own}"', '"/etc/passwd"'))
    run("rundots", report(f'"{own}"', f'"source/../../{dsc.name}"'))
    run("runsparse", sparse)
    run("runchanged", lambda p: (p / own).write_text((p / own).read_text() + "\n"))
    run("runnosource", lambda p: shutil.rmtree(p / "source"))
    patched = run("patched", lambda p: shutil.rmtree(p / "debs"))
    return {**found, **_debs(directory, patched)}


def _debs(directory: Path, patched: Path) -> dict[str, Path]:
    version = json.loads((patched / "report.json").read_text())["patched"]["version"]
    found: dict[str, Path] = {}

    def debs(name: str, spoil: Callable[[Path, Path], object]) -> None:
        found[name] = directory / name
        found[name].mkdir()
        deb = packages.make_deb(found[name], "iproute2", version, architecture="amd64")
        shutil.rmtree(found[name] / f".iproute2-{version}")
        info = deb.with_suffix(".buildinfo")
        info.write_text(f"Source: iproute2\nVersion: {version}\n")
        lines = [f" {file_sha256(p)} {p.stat().st_size} {p.name}\n" for p in (deb, info)]
        changes = deb.with_suffix(".changes")
        head = f"Source: iproute2\nVersion: {version}\nChecksums-Sha256:\n"
        changes.write_text(head + "".join(lines))
        spoil(changes, deb)

    def said(old: str, new: str) -> Callable[[Path, Path], object]:
        return lambda c, _: c.write_text(c.read_text().replace(old, new))

    def other(info: Path, data: bytes) -> None:
        """Replace the .buildinfo, and put its hash into the .changes."""
        changes = info.with_suffix(".changes")
        old = file_sha256(info)
        size = info.stat().st_size
        info.write_bytes(data)
        text = changes.read_text().replace(old, file_sha256(info))
        changes.write_text(text.replace(f" {size} {info.name}", f" {len(data)} {info.name}"))

    debs("debsempty", lambda c, _: c.unlink())
    debs("debsfifo", lambda c, _: anew(c, os.mkfifo))
    debs("debsbinary", lambda c, _: c.write_bytes(bytes(range(256)) * 20))
    debs("debsother", said("Source: iproute2", "Source: other"))
    debs("debsnofile", lambda _, d: d.unlink())
    debs("debswrongsum", lambda _, d: d.write_bytes(d.read_bytes()[:-1] + b"x"))
    debs("debsinfo", lambda c, _: other(c.with_suffix(".buildinfo"), bytes(range(256)) * 20))
    debs("debsfiledeb", lambda _, d: anew(d, os.mkfifo))
    debs("debsoutside", said(" iproute2_", " ../iproute2_"))
    return found
