# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Things that respin must refuse: special files, broken files, directories that are no run's.

Each is made once, in a directory outside the place where respin is called.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipeline.releases import releases
from support import packages, spoilt, standin

EM_BPF = 247
SPARSE = 50 << 30
DEEP = "[" * 100_000


def elf(*, machine: int = EM_BPF, sections: bytes = b"", count: int = 0) -> bytes:
    """Return an ELF64 object: a header, a table of names, and these section headers."""
    names = b"\0.shstrtab\0tc\0"
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    number = count if count >= 0 else 0
    header = struct.pack(
        "<HHIQQQIHHHHHH", 1, machine, 1, 0, 0, 64 + len(names), 0, 64, 0, 0, 64, number, 1
    )
    return ident + header + names + sections


def section(name: int, kind: int, flags: int, offset: int, size: int) -> bytes:
    """Return a section header."""
    return struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, offset, size, 0, 0, 1, 0)


def _no_run(directory: Path, text: str | None) -> Path:
    directory.mkdir()
    if text is None:
        os.mkfifo(directory / "report.json")
    else:
        (directory / "report.json").write_text(text)
    return directory


def _deb(directory: Path, name: str, **more: object) -> Path:
    (directory / name).mkdir()
    return packages.make_deb(directory / name, "iproute2", "6.1.0-3", **more)  # type: ignore[arg-type]


def _no_architecture(directory: Path) -> Path:
    made = _deb(directory, "noarchitecture", architecture="amd64")
    tree = next(p for p in made.parent.iterdir() if p.is_dir())
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text("".join(line for line in lines if not line.startswith("Architecture")))
    subprocess.run(
        ["dpkg-deb", "--nocheck", "-Znone", "--build", tree, made],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return made


def make(directory: Path) -> dict[str, str]:
    """Make all of them; return the argument for each."""
    things: dict[str, Path | str] = {}

    def file(name: str, content: bytes | str) -> Path:
        path = directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        things[name] = path
        return path

    def made(name: str, do: Callable[[Path], object]) -> None:
        do(directory / name)
        things[name] = directory / name

    made("fifo", lambda p: os.mkfifo(p))
    made("folder", lambda p: p.mkdir())
    (directory / "folder/letter").write_text("dear")
    made("dangling", lambda p: p.symlink_to("nowhere"))
    made("loop", lambda p: p.symlink_to(p.name))
    things["missing"] = directory / "nothing/of the kind"
    things["toolong"] = directory / ("a" * 300)
    things["zero"], things["full"], things["mem"] = "/dev/zero", "/dev/full", "/proc/self/mem"
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket has at most 107 characters.
        here = Path.cwd()
        os.chdir(directory)
        listening.bind("socket")
        os.chdir(here)
    things["socket"] = directory / "socket"
    with file("sparse", b"").open("wb") as f:
        f.truncate(SPARSE)
    file("empty", b"")
    file("binary", random.Random("binary").randbytes(5000))
    file("deep", DEEP)
    file("latin", "caf\xe9 = 'cr\xe8me'\n".encode("latin-1"))
    text = file("text", "dear reader\n")
    things["belowfile"] = text / "below"
    things["deepout"] = text / "a/b/c"
    shutil.copy("/bin/true", directory / "x86")
    things["x86"] = directory / "x86"
    file("cut", elf(count=9))
    head = section(1, 3, 0, 64, 14) + section(11, 8, 6, 64, 1 << 60)
    file("nobits", elf(sections=section(0, 0, 0, 0, 0) + head, count=3))
    file("counted", elf(sections=section(0, 0, 0, 0, 1 << 40), count=0))
    file("ar", "!<arch>\n")
    tc = {"sbin/tc": Path("/bin/true")}
    things["deb"] = _deb(directory, "debs", architecture="amd64", programs=tc)
    # Debian has it, and respin has no machine to test it on.
    things["foreign"] = _deb(directory, "foreign", architecture="mips64el", programs=tc)
    things["notc"] = _deb(directory, "notc", architecture="amd64")
    odd = {"usr/share/a file -> /sbin/tc": "x", "usr/share/sbin/tc": "x"}
    things["odd"] = _deb(directory, "odd", architecture="amd64", files=odd)
    things["noarchitecture"] = _no_architecture(directory)
    dsc = packages.make_source(directory / "source", version="6.1.0-3")
    things["dsc"] = dsc
    made("fetched", lambda p: standin.make(p, dsc, releases.find("bookworm"), good=False))
    for name, report in (
        *(("norun", "{}"), ("deeprun", DEEP), ("listrun", "[]"), ("fiforun", None)),
        ("binaryrun", "\0\1\2"),
    ):
        things[name] = _no_run(directory / name, report)
    things |= spoilt.make(directory / "spoilt")
    things["archive"] = "http://127.0.0.1:9/debian"
    return {name: str(thing) for name, thing in things.items()}
