# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Source packages as an attacker writes them: by hand, since dpkg-source would refuse.

``make`` returns an iproute2 with both defects, which is patched as it should be unless its files
or its description were changed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden/fixes/both-defects/in"
DATE = "Mon, 02 Jan 2023 03:04:05 +0000"
CHANGELOG = f"""iproute2 (6.1.0-3) unstable; urgency=medium

  * Test.

 -- A Tester <tester@example.org>  {DATE}
"""
CONTROL = """Source: iproute2
Maintainer: A Tester <tester@example.org>
Section: net
Priority: optional
Standards-Version: 4.6.2
Build-Depends: debhelper-compat (= 13), libbpf-dev

Package: iproute2
Architecture: any
Description: a test
 A test.
"""
RULES = "#!/usr/bin/make -f\n%:\n\tdh $@\n"


@dataclass(frozen=True)
class Other:
    """Something other than a file: a link to ``target``, or another ``type`` of tarfile."""

    target: str = ""
    type: bytes = tarfile.SYMTYPE
    device: tuple[int, int] = (0, 0)


FIFO = Other(type=tarfile.FIFOTYPE)
ZERO = Other(type=tarfile.CHRTYPE, device=(1, 5))
"""/dev/zero"""

Files = Mapping[str, str | Other]


def upstream() -> dict[str, str | Other]:
    """Return the files of the upstream tarball."""
    texts = {str(p.relative_to(GOLDEN)): p.read_text() for p in GOLDEN.rglob("*.[ch]")}
    return {**texts}


def debian(form: str | None) -> dict[str, str | Other]:
    """Return the files of debian/, by their path in the tree; ``form`` is debian/source/format."""
    files: dict[str, str | Other] = {
        "debian/changelog": CHANGELOG,
        "debian/control": CONTROL,
        "debian/rules": RULES,
    }
    return files if form is None else {**files, "debian/source/format": f"{form}\n"}


def tarball(path: Path, files: Files, top: str) -> None:
    """Write a tarball of files; those with the same path come later, as tar allows."""
    with gzip.open(path, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{top}{name}")
            info.mode, info.mtime = 0o755 if name.endswith(("rules", ".sh")) else 0o644, 1672628645
            if isinstance(content, Other):
                info.type, info.linkname = content.type, content.target
                info.devmajor, info.devminor = content.device
                tar.addfile(info)
            else:
                info.size = len(content.encode())
                tar.addfile(info, io.BytesIO(content.encode()))


def make(
    directory: Path,
    *,
    said: str = "3.0 (quilt)",
    own: str | None = "3.0 (quilt)",
    files: Files | None = None,
    without: str = "",
) -> Path:
    """Write a source package and return its .dsc.

    ``said`` is the format in the .dsc, ``own`` that in the tree (None: no such file). ``files``
    are added to the tree or replace its files; those that begin with ``without`` are left out.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tree = {**upstream(), **debian(own), **(files or {})}
    tree = {name: c for name, c in tree.items() if not without or not name.startswith(without)}
    native = said in ("1.0", "3.0 (native)", "3.0 (git)")
    version = "6.1.0" if native else "6.1.0-3"
    if native:
        if tree.get("debian/changelog") == CHANGELOG:
            tree["debian/changelog"] = CHANGELOG.replace("6.1.0-3", version)
        parts = {"iproute2_6.1.0.tar.gz": ("iproute2-6.1.0/", tree)}
    else:
        parts = {
            "iproute2_6.1.0.orig.tar.gz": (
                "iproute2-6.1.0/",
                {n: c for n, c in tree.items() if not n.startswith("debian")},
            ),
            "iproute2_6.1.0-3.debian.tar.gz": (
                "",
                {n: c for n, c in tree.items() if n.startswith("debian")},
            ),
        }
    for name, (top, content) in parts.items():
        tarball(directory / name, content, top)
    dsc = directory / f"iproute2_{version}.dsc"
    dsc.write_text(
        f"Format: {said}\nSource: iproute2\nBinary: iproute2\nArchitecture: any\n"
        f"Version: {version}\nMaintainer: A Tester <tester@example.org>\n"
    )
    sums(dsc)
    return dsc


def sums(dsc: Path) -> None:
    """Put the sizes and hashes of the tarballs beside it into a .dsc."""
    head = "".join(
        line
        for line in dsc.read_text().splitlines(keepends=True)
        if not line.startswith(("Checksums", "Files", " "))
    )
    found = {path.name: path.read_bytes() for path in sorted(dsc.parent.glob("*.tar.*"))}
    for field, kind in (
        ("Checksums-Sha1", hashlib.sha1),
        ("Checksums-Sha256", hashlib.sha256),
        ("Files", hashlib.md5),
    ):
        lines = (f" {kind(data).hexdigest()} {len(data)} {name}" for name, data in found.items())
        head += "\n".join([f"{field}:", *lines]) + "\n"
    dsc.write_text(head)


def tree(directory: Path, *, form: str | None = "3.0 (quilt)", files: Files | None = None) -> Path:
    """Write the unpacked tree of such a package with these ``files``, and return it."""
    for name, content in {**upstream(), **debian(form), **(files or {})}.items():
        assert isinstance(content, str)
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    return directory
