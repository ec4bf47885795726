"""A source tree of the user's, with debian/, made into a source package."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from debian.changelog import Changelog, ChangelogParseError
from debian.debian_support import Version

from pipeline import command
from pipeline.archives import control
from pipeline.errors import FetchError

LIMIT = 512 << 20
"""Bytes of a tree; iproute2's has 7 MiB."""
LEFT_OUT = (".git", ".pc", ".svn", ".hg")
EPOCH = 1 << 28
"""Times of the files in a tarball that is made here: no tree's own times are part of it."""


def make_source(tree: Path, dest: Path, *, log: Path | None = None) -> Path:
    """Make a source package of ``tree`` in the new folder ``dest``; return its .dsc.

    The upstream tarball beside the tree is taken if there is one; else one is made of the
    tree without debian/ and without its patches. The tree itself is not changed. Raises
    FetchError; ``dest`` then is not there.
    """
    name, version = _identity(tree)
    upstream = version.upstream_version or str(version)
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=".tree-") as tmp:
        work = Path(tmp)
        copy = work / f"{name}-{upstream}"
        _copy(tree, copy)
        if (tree / ".pc" / "applied-patches").exists():
            shutil.copytree(tree / ".pc", copy / ".pc", symlinks=True)
            _dpkg_source(["--after-build", "--unapply-patches", copy.name], work, log)
            shutil.rmtree(copy / ".pc", ignore_errors=True)
        if version.debian_revision is not None:
            beside = sorted(tree.absolute().parent.glob(f"{name}_{upstream}.orig*.tar.*"))
            for path in beside:
                shutil.copyfile(path, work / path.name)
            if not beside:
                _tarball(copy, work / f"{name}_{upstream}.orig.tar.gz")
        _dpkg_source(["--build", copy.name], work, log)
        shutil.rmtree(copy)
        (dsc,) = work.glob("*.dsc")
        shutil.copytree(work, dest)
    return dest / dsc.name


def _identity(tree: Path) -> tuple[str, Version]:
    """Return name and version of the newest entry of debian/changelog."""
    path = tree / "debian" / "changelog"
    try:
        log = Changelog(path.read_text("utf-8")[: control.LIMIT], max_blocks=1, strict=True)
        name, version = str(log.package), str(log.version)
    except OSError as e:
        raise FetchError(
            f"{tree} is no source tree of a package: {path}: {e.strerror}",
            hint="give the folder that holds debian/",
        ) from e
    except (ChangelogParseError, ValueError, IndexError) as e:
        raise FetchError(f"{path} is not a changelog", details=str(e)[:400]) from e
    if not control.package_name(name) or not control.version_text(version):
        raise FetchError(f"{path} does not begin with a package and its version")
    return name, Version(version)


def _copy(tree: Path, copy: Path) -> None:
    """Copy a tree, links as links. Raises FetchError if it is larger than LIMIT."""
    size = 0
    for folder, _, files in os.walk(tree):
        for each in files:
            size += (Path(folder) / each).lstat().st_size
    if size > LIMIT:
        raise FetchError(f"{tree} has more than {LIMIT >> 20} MiB", hint="is it the right folder?")
    try:
        shutil.copytree(tree, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    except (shutil.Error, OSError) as e:
        raise FetchError(f"{tree} cannot be copied", details=str(e)[:2000]) from e


def _tarball(tree: Path, path: Path) -> None:
    """Pack a tree without debian/; the same tree makes the same bytes."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if info.name == f"{tree.name}/debian":
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = EPOCH
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    plain_path = path.with_suffix("")
    with tarfile.open(plain_path, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(tree, arcname=tree.name, filter=plain)
    # gzip -n keeps name and time out of it.
    command.run(["gzip", "-n", "-9", plain_path], error=FetchError)


def _dpkg_source(argv: list[str], folder: Path, log: Path | None) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DPKG_", "QUILT_"))}
    command.run(
        ["dpkg-source", *argv],
        cwd=folder,
        env={**kept, "LC_ALL": "C.UTF-8"},
        timeout=600,
        log=log,
        error=FetchError,
        brief="no source package can be made of this tree",
        hint="`dpkg-source --build` says the same in the tree; the upstream tarball may have to"
        " lie beside it",
    )
