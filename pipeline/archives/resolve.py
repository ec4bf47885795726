# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions to apt's resolver, and its answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from pipeline.archives import dsc_file
from pipeline.errors import BuildError
from pipeline.model import Package

_URI = re.compile(
    r"^'[^']+' (?P<name>[a-z0-9][a-z0-9+.-]+)_(?P<version>[A-Za-z0-9.+~%-]+)"
    r"_(?P<arch>[a-z0-9-]+)\.deb "
)


def packages(output: str) -> Iterator[Package]:
    """Read the packages from ``apt-get --print-uris``.

    Unlike ``--simulate``, that does not play every step, and takes a third of the time.
    """
    for match in map(_URI.match, output.splitlines()):
        if match:
            version = unquote(match["version"])
            yield Package(name=match["name"], version=version, architecture=match["arch"])


def dependencies(packages: Sequence[str], path: Path) -> list[str]:
    """Return what ``apt-get satisfy`` is to satisfy: packages and build dependencies."""
    fields = dsc_file.parse(dsc_file.load(path), path.name)
    wanted = ["build-essential"]
    for package in packages:
        name, equals, version = package.partition("=")
        wanted.append(f"{name} (= {version})" if equals else name)
    return [
        ", ".join((*wanted, *fields.build_depends, *fields.build_depends_indep)),
        *(f"Conflicts: {text}" for text in fields.build_conflicts),
    ]


PROFILES = "cross,nocheck"
"""The build profiles of a cross build: tests of what was built cannot run here."""

PLAIN = frozenset({"fakeroot"})
"""Tools that a cross build names without ``:native``: with it, apt 2.6 takes another package that
provides them, and without it this machine's, since they are Multi-Arch: foreign."""


def toolchain(architecture: str) -> str:
    """Return the package that has a release's compilers for a foreign architecture."""
    return f"crossbuild-essential-{architecture}"


def cross_source(packages: Sequence[str], path: Path) -> str:
    """Return the text of a .dsc whose build dependencies are those of a cross build.

    ``packages`` are of this machine's architecture. Which of the others are to be of the package's
    (those that are neither ``:native`` nor Multi-Arch: foreign) is for apt to say, as for every
    source package (deb-src-control(5)).
    """
    fields = dsc_file.parse(dsc_file.load(path), path.name)
    wanted = []
    for package in packages:
        name, equals, version = package.partition("=")
        native = name if name in PLAIN else f"{name}:native"
        wanted.append(f"{native} (= {version})" if equals else native)
    lines = (
        "Format: 1.0",
        f"Source: {fields.name}",
        f"Version: {fields.version}",
        "Binary: unused",
        "Architecture: any",
        f"Build-Depends: {', '.join((*wanted, *fields.build_depends))}",
        *(f"Build-Conflicts: {text}" for text in (", ".join(fields.build_conflicts),) if text),
        "",
    )
    return "\n".join(lines)


def unsatisfied(error: BuildError, what: str, codename: str) -> BuildError:
    """Name the dependency that apt could not satisfy."""
    patterns = (
        r"Depends: (.+?) but it is not",
        r"Unable to locate package (\S+)",
        r"(Version '\S+' for '\S+') was not found",
        r"Package '(\S+)' has no installation candidate",
    )
    found = [m for p in patterns for m in re.findall(p, error.details)]
    named = ", ".join(dict.fromkeys(found)) or "see below"
    return BuildError(
        f"{what} cannot be satisfied in {codename}: {named}",
        details=error.details,
        hint="check debian/control, and that the mirror has all pockets of the release",
    )
