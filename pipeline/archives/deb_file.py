# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Binary packages as dpkg-deb reads them, behind the wall: anybody may have made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.files import bounded
from pipeline.isolation import lent, sandbox

LARGEST = 1 << 30
"""Bytes of a package; a kernel's has 100 MiB."""
SECONDS = 600.0
MAGIC = b"!<arch>\n"
MEMBERS = 8
"""Members that are looked at; dpkg-deb writes three."""
HEADER = 60
"""Bytes before each member (ar(5))."""


def whole(data: bytes) -> bool:
    """Tell whether a package that is being written is all there (deb(5)).

    dpkg-deb writes the size of each member before its content, and the files' archive last.
    """
    at, name = len(MAGIC), b""
    if not data.startswith(MAGIC):
        return False
    for _ in range(MEMBERS):
        if len(data) < at + HEADER:
            break
        name, size = data[at : at + 16], data[at + 48 : at + 58]
        if not size.strip().isdigit():
            return False
        at += HEADER + int(size) + int(size) % 2
    return name.startswith(b"data.tar") and len(data) == at


def show(deb: Path, fields: str, *, error: type[RespinError]) -> str:
    """Return fields of a package, in the form of dpkg-deb's --showformat. Raises ``error``."""
    return _read(deb, ["--show", f"--showformat={fields}"], error)


def contents(deb: Path, *, error: type[RespinError]) -> str:
    """Return the list of a package's files, as tar -tv writes it. Raises ``error``."""
    return _read(deb, ["--contents"], error)


def information(deb: Path, *, error: type[RespinError]) -> str:
    """Return the files of a package's control archive, and its fields. Raises ``error``."""
    return _read(deb, ["--info"], error)


def extract(
    debs: Sequence[Path],
    into: Path,
    *,
    error: type[RespinError],
    log: Path | None,
    control: bool = False,
) -> None:
    """Unpack packages into the directory ``into``, which is created if it does not exist.

    Links that lead out of it are left out. With ``control``, the files of the control archive are
    in its directory DEBIAN. Raises ``error``; then ``into`` does not exist.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    with lent.lent(into.parent, ".deb-") as directory:
        if into.exists():
            into.rename(directory / "root")
        for deb in debs:
            name = _take(deb, directory, error)
            sandbox.run(
                ["dpkg-deb", "--raw-extract" if control else "--extract", name, "root"],
                directory=directory,
                drop_links=True,
                timeout=SECONDS,
                log=log,
                error=error,
                brief=f"the package {deb.name} could not be unpacked",
            )
            (directory / name).unlink()
        try:
            lent.take_back(directory / "root", drop_links=True)  # also links to what lies beside it
        except (OSError, lent.Strange) as e:
            raise error(f"the package {deb.name} could not be unpacked: it contains {e}") from e
        (directory / "root").rename(into)


def _read(deb: Path, options: Sequence[str], error: type[RespinError]) -> str:
    with lent.lent(None, "respin-deb-") as directory:
        name = _take(deb, directory, error)
        return sandbox.run(
            ["dpkg-deb", *options, name],
            directory=directory,
            limit=bounded.LARGE,
            error=error,
            brief=f"{deb.name} is not a Debian package",
        ).text


def _take(deb: Path, directory: Path, error: type[RespinError]) -> str:
    """Copy a package into a directory, under a name that no program takes for an option."""
    try:
        bounded.copy(deb, directory / "package.deb", LARGEST)
    except OSError as e:
        raise error(f"{deb} cannot be read: {e.strerror}") from e
    return "package.deb"
