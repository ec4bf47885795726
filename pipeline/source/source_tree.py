# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a source tree may be: its format, its options for dpkg-source, what is left out.

A tree comes from somebody else. Programs read it only in the sandbox (isolation/sandbox.py); respin
itself reads it or writes to it only once no link is known to lead out of it.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from pipeline.errors import FetchError
from pipeline.isolation import lent

FORMATS = ("1.0", "3.0 (quilt)", "3.0 (native)")
"""The formats that a distro's iproute2 has ever used. Others make dpkg-source call a version
control system, which runs what the tree's configuration says."""

VCS = frozenset(
    {
        *(".git", ".hg", ".svn", ".bzr", "CVS", "RCS", "SCCS", "_darcs", "_MTN", "{arch}"),
        *(".arch-ids", ".jj", ".pijul", ".fslckout", "_FOSSIL_"),
    }
)
"""Names of files and directories of version control systems, anywhere in a tree."""

OPTIONS = frozenset(
    {
        *("compression", "compression-level", "threads-max", "diff-ignore", "extend-diff-ignore"),
        *("tar-ignore", "single-debian-patch", "auto-commit", "create-empty-orig"),
        *("include-binaries", "include-removal", "include-timestamp", "abort-on-upstream-changes"),
        *("unapply-patches", "no-unapply-patches"),
    }
)
"""Options of dpkg-source(1) that a tree may set: they say how it is packed. If they left anything
out of the new source package, its diagnosis would show that."""

SMALL = 64 << 10
"""Bytes of a file in debian/source; iproute2's have a few dozen."""


def settle(tree: Path, form: str) -> None:
    """Prepare a tree that was just unpacked or copied.

    Directories of version control systems are removed. ``form`` is the format in its .dsc, empty if
    there is none. Raises FetchError if the tree has another format or one that is not accepted, if
    it sets an option of dpkg-source that is not accepted, or if it contains devices or links that
    lead out of it.
    """
    try:
        _without_vcs(tree)
        lent.take_back(tree)
    except lent.Strange as e:
        raise FetchError(
            f"respin does not accept {tree.name}: it contains {e}",
            hint="check where this source comes from",
        ) from e
    except OSError as e:
        raise FetchError(f"respin could not read {tree}: {e.strerror}") from e
    own = format_of(tree)
    if form and form != own:
        raise FetchError(
            f"the .dsc has the source format {form!r}, but debian/source/format says {own!r}",
            hint="dpkg-source makes no such source package; check where this one comes from",
        )
    for name in ("options", "local-options"):
        _check_options(tree / "debian/source" / name)


def look(tree: Path) -> None:
    """Check that a tree of the user's contains only what a source may; leave it unchanged.

    Raises FetchError, as ``settle`` does for a copy.
    """
    try:
        lent.look(tree.resolve(), without=VCS)
    except lent.Strange as e:
        raise FetchError(
            f"respin does not accept {tree}: it contains {e}",
            hint="check where this source comes from",
        ) from e
    except OSError as e:
        raise FetchError(f"respin could not read {tree}: {e.strerror}") from e


def check_format(form: str, where: str) -> None:
    """Raise FetchError if respin does not accept a source format."""
    if form not in FORMATS:
        raise FetchError(
            f"{where} has the source format {form[:40]!r}, which respin does not accept",
            hint=f"convert it to one of the accepted formats: {', '.join(FORMATS)}",
        )


def format_of(tree: Path) -> str:
    """Return the format in which dpkg-source would build a tree. Raises FetchError."""
    path = tree / "debian/source/format"
    if not path.exists():
        return "1.0"
    form = _small(path).removesuffix("\n")
    check_format(form, "debian/source/format")
    return form


def copy(tree: Path, dest: Path, largest: int) -> None:
    """Copy a tree of the user's, without what VCS names, to ``dest``, which must not exist.

    No link is followed; ``settle`` must check the copy. Raises FetchError if the tree has more than
    ``largest`` bytes, or cannot be read.
    """
    left = largest
    try:
        directories = [(dest, tree.stat())]
        dest.mkdir(mode=0o700)
        for each in lent.entries(tree.resolve(), without=VCS):
            target = dest / each.path
            if stat.S_ISDIR(each.info.st_mode):
                target.mkdir(mode=0o700)
                directories.append((target, each.info))
            elif stat.S_ISLNK(each.info.st_mode):
                target.symlink_to(os.readlink(each.name, dir_fd=each.at))
            elif stat.S_ISREG(each.info.st_mode):
                left -= each.info.st_size
                if left < 0:
                    raise lent.Strange(f"more than {largest >> 20} MiB")
                _copy_file(each, target)
            else:
                raise lent.Strange(
                    f"something that is not a file, directory or link: {each.path[:200]!r}"
                )
        for target, info in reversed(directories):
            _as_was(target, info)
    except lent.Strange as e:
        raise FetchError(f"{tree} contains {e}", hint="check that it is the right directory") from e
    except OSError as e:
        raise FetchError(f"respin could not copy {tree}: {e.strerror}", details=str(e)) from e


def _copy_file(each: lent.LentEntry, target: Path) -> None:
    number = os.open(each.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=each.at)
    with os.fdopen(number, "rb") as source, target.open("xb") as out:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise lent.Strange(f"a file that changed into something else: {each.path[:200]!r}")
        shutil.copyfileobj(source, out)
    _as_was(target, each.info)


def _as_was(target: Path, info: os.stat_result) -> None:
    target.chmod(stat.S_IMODE(info.st_mode) & 0o777)
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _without_vcs(tree: Path) -> None:
    for each in lent.entries(tree):
        if each.name in VCS:
            if stat.S_ISDIR(each.info.st_mode):
                shutil.rmtree(each.name, dir_fd=each.at)
            else:
                os.unlink(each.name, dir_fd=each.at)


def _small(path: Path) -> str:
    """Return the text of a small file in a settled tree. Raises FetchError if it is not one."""
    name = f"debian/source/{path.name}"
    try:
        if not path.is_file() or path.stat().st_size > SMALL:
            raise FetchError(f"{name} is not a regular file of at most {SMALL} bytes")
        return path.read_text("utf-8")
    except UnicodeDecodeError as e:
        raise FetchError(f"{name} is not UTF-8 text") from e


def _check_options(path: Path) -> None:
    """Raise FetchError if a file sets an option of dpkg-source that is not in OPTIONS."""
    if not path.exists():
        return
    for line in _small(path).splitlines():
        option = line.strip()
        name = option.replace("=", " ").split(" ")[0].split("\t")[0].removeprefix("--")
        if option and not option.startswith("#") and name not in OPTIONS:
            raise FetchError(
                f"debian/source/{path.name} sets an option of dpkg-source that respin does not "
                f"accept: {option[:60]!r}",
                hint=f"remove it; the accepted options are: {', '.join(sorted(OPTIONS))}",
            )
