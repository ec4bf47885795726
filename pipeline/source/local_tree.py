# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a source package from a source tree of the user's that has debian/."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from debian.changelog import Changelog, ChangelogParseError
from debian.debian_support import Version

from pipeline.archives import dsc_file
from pipeline.errors import FetchError
from pipeline.files import bounded
from pipeline.isolation import lent, sandbox
from pipeline.source import source_tree

LIMIT = 512 << 20
"""Bytes of a tree; iproute2's has 7 MiB."""
EPOCH = 1 << 28
"""The time of all files in a tarball that is made here, instead of the tree's own times."""


def make_source(
    tree: Path, dest: Path, *, trust_container: bool = False, log: Path | None = None
) -> Path:
    """Make a source package from ``tree`` in the new directory ``dest``; return its .dsc.

    An upstream tarball beside the tree is used; without one, a tarball is made from the tree
    without debian/ and without its patches. The tree itself is not changed. Raises FetchError, also
    if the tree may not be read here (``sandbox.admit``, ``source_tree.settle``); ``dest`` then does
    not exist.
    """
    sandbox.admit(str(tree), indexed=False, trust_container=trust_container)
    dest.parent.mkdir(parents=True, exist_ok=True)
    with lent.lent(dest.parent, ".tree-") as work:
        unnamed = work / "tree"
        source_tree.copy(tree, unnamed, LIMIT)
        source_tree.settle(unnamed, "")
        name, version = _identity(tree, unnamed)
        upstream = version.upstream_version or str(version)
        copy = unnamed.rename(work / f"{name}-{upstream}")
        if (copy / ".pc" / "applied-patches").exists():
            _dpkg_source(["--after-build", "--unapply-patches", copy.name], work, log)
        shutil.rmtree(copy / ".pc", ignore_errors=True)
        if version.debian_revision is not None:
            beside = sorted(tree.absolute().parent.glob(f"{name}_{upstream}.orig*.tar.*"))
            for path in beside:
                _take(path, work / path.name)
            if not beside:
                _tarball(copy, work / f"{name}_{upstream}.orig.tar", log)
        _dpkg_source(["--build", copy.name], work, log)
        shutil.rmtree(copy)
        (dsc,) = work.glob("*.dsc")
        shutil.copytree(work, dest)
    return dest / dsc.name


def _identity(tree: Path, copy: Path) -> tuple[str, Version]:
    """Return the name and version in the newest entry of the copy's debian/changelog."""
    path = tree / "debian" / "changelog"
    try:
        text = bounded.text(copy / "debian" / "changelog", bounded.LARGE)
        log = Changelog(text[: dsc_file.LIMIT], max_blocks=1, strict=True)
        name, version = str(log.package), str(log.version)
    except OSError as e:
        raise FetchError(
            f"{tree} is not the source tree of a package: {path}: {e.strerror}",
            hint="give the directory that contains debian/",
        ) from e
    except (ChangelogParseError, ValueError, IndexError) as e:
        raise FetchError(f"{path} is not a Debian changelog", details=str(e)[:400]) from e
    if not dsc_file.package_name(name) or not dsc_file.version_text(version):
        raise FetchError(f"{path} does not begin with the name of a package and its version")
    return name, Version(version)


def _take(path: Path, dest: Path) -> None:
    """Copy the upstream tarball beside the tree; refuse a link that leads to another directory."""
    end = path.resolve()
    if not end.is_relative_to(path.parent.resolve()):
        raise FetchError(
            f"{path} is a link that leads out of its directory",
            hint="put the upstream tarball itself beside the tree",
        )
    try:
        bounded.copy(end, dest, dsc_file.LARGEST, follow=False)
    except OSError as e:
        raise FetchError(f"respin could not read {path}: {e.strerror}") from e


def _tarball(tree: Path, path: Path, log: Path | None) -> None:
    """Pack a tree without debian/ into ``path``.gz; the same tree gives the same bytes."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if info.name == f"{tree.name}/debian":
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = EPOCH
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(tree, arcname=tree.name, filter=plain)
    # gzip -n writes neither name nor time.
    sandbox.run(["gzip", "-n", "-9", path.name], directory=path.parent, log=log, error=FetchError)


def _dpkg_source(argv: list[str], directory: Path, log: Path | None) -> None:
    sandbox.run(
        ["dpkg-source", *argv],
        directory=directory,
        timeout=600,
        log=log,
        error=FetchError,
        brief="dpkg-source could not make a source package from this tree",
        hint="try `dpkg-source --build` in the tree; it may need the upstream tarball beside the "
        "tree",
    )
