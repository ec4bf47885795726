# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small Debian packages for tests, made in a fraction of a second with dpkg's own tools."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from debian import deb822

DATE = "Mon, 02 Jan 2023 03:04:05 +0000"
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1672628645"}

RULES = """#!/usr/bin/make -f
%:
\tdh $@
"""


def make_source(
    directory: Path,
    *,
    name: str = "iproute2",
    version: str = "6.1.0-3",
    files: Mapping[str, str] | None = None,
    build_depends: str = "debhelper-compat (= 13)",
    rules: str = RULES,
) -> Path:
    """Make a source package, format 3.0 (quilt), and return its .dsc.

    ``files`` are those of the upstream tarball, by path; ``rules`` is debian/rules.
    """
    directory.mkdir(parents=True, exist_ok=True)
    upstream = version.rpartition("-")[0]
    tree = directory / f"{name}-{upstream}"
    for path, text in (files or {"README": f"{name} {upstream}\n"}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    tarball = f"{name}_{upstream}.orig.tar.gz"
    # Two revisions of one upstream version share their tarball, byte for byte.
    same = (
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=go=rX",
    )
    subprocess.run(
        ["tar", *same, "--use-compress-program=gzip -n", "-cf", tarball, tree.name],
        cwd=directory,
        check=True,
    )
    debian = {
        "source/format": "3.0 (quilt)\n",
        "changelog": f"{name} ({version}) unstable; urgency=medium\n\n  * Test.\n\n"
        f" -- A Tester <tester@example.org>  {DATE}\n",
        "control": f"Source: {name}\nMaintainer: A Tester <tester@example.org>\n"
        f"Section: net\nPriority: optional\nStandards-Version: 4.6.2\n"
        f"Build-Depends: {build_depends}\n\n"
        f"Package: {name}\nArchitecture: any\nDescription: a test\n A test.\n",
        "rules": rules,
    }
    for path, text in debian.items():
        (tree / "debian" / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / "debian" / path).write_text(text)
    (tree / "debian/rules").chmod(0o755)
    subprocess.run(
        ["dpkg-source", "-b", tree.name],
        cwd=directory,
        check=True,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    return directory / f"{name}_{version}.dsc"


def make_deb(
    directory: Path,
    name: str,
    version: str = "1.0-1",
    *,
    architecture: str = "all",
    fields: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    programs: Mapping[str, Path] | None = None,
    compress: str = "none",
) -> Path:
    """Make a binary package and return the .deb; ``fields`` go into its control file.

    ``files`` are texts by path, ``programs`` are files to copy there; the content of the default
    one is the same in all versions.
    """
    tree = directory / f".{name}-{version}"
    control = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "A Tester <tester@example.org>",
        "Priority": "optional",
        "Section": "misc",
        **(fields or {}),
        "Description": "a test",
    }
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text("".join(f"{k}: {v}\n" for k, v in control.items()))
    for path, text in (files or {f"usr/share/{name}": f"{name}\n"}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    for path, program in (programs or {}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, tree / path)
    deb = directory / f"{name}_{version.rpartition(':')[2]}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", f"-Z{compress}", "-z3", "--build", tree, deb],
        check=True,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    return deb


def make_upload(
    directory: Path, dsc: Path, *, info_dsc: bool = True, architecture: str = "amd64"
) -> Path:
    """Write .buildinfo and .changes of the packages in ``directory``; return the .changes.

    With ``info_dsc`` the .buildinfo also lists the .dsc that they were built from.
    """
    source = deb822.Dsc(dsc.read_bytes())
    debs = sorted(directory.glob("*.deb"))
    plain = source["Version"].rpartition(":")[2]
    stem = directory / f"{source['Source']}_{plain}_{architecture}"
    head = f"Source: {source['Source']}\nArchitecture: {architecture}\n"
    head += f"Version: {source['Version']}\n"
    info = stem.with_name(f"{stem.name}.buildinfo")
    files = [*debs, dsc] if info_dsc else debs
    info.write_text(
        f"Format: 1.0\n{head}{sums(files)}Build-Architecture: amd64\n"
        "Installed-Build-Depends:\n dpkg (= 1.21.22)\n"
    )
    changes = stem.with_name(f"{stem.name}.changes")
    changes.write_text(f"Format: 1.8\n{head}{sums([*debs, info])}")
    return changes


def sums(paths: Sequence[Path]) -> str:
    """Return the field Checksums-Sha256 of some files."""
    rows = [
        f" {hashlib.sha256(p.read_bytes()).hexdigest()} {p.stat().st_size} {p.name}" for p in paths
    ]
    return "\n".join(["Checksums-Sha256:", *rows, ""])
