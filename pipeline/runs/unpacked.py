# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's tc and ip as files that run without being installed.

    DIR/tc, DIR/ip       start the programs in DIR/package, with the loader and libraries in DIR/lib
    DIR/package/         the packages, unpacked
    DIR/lib/             what they need of their release, so that the system around does not matter
    DIR/copyright/       the licences of that

DIR can be moved and copied, and tc and ip can be linked from elsewhere. They need /bin/sh and
readlink.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.archives import deb_file
from pipeline.errors import FetchError, UsageError
from pipeline.files import bounded, own_files
from pipeline.host.cache import file_sha256
from pipeline.host.progress import Journal, Progress
from pipeline.host.resources import render
from pipeline.isolation import lent
from pipeline.isolation.scratch import scratch
from pipeline.model import Artifact, VerifiedFile
from pipeline.runs import inputs, libraries, lockfile, lockfile_reader
from pipeline.runs.libraries import Found
from pipeline.runs.report_reader import read
from pipeline.runs.request import Request
from pipeline.smoke import guest_image, tested_packages
from pipeline.smoke.tested_packages import Deb
from pipeline.vm.machine import machine_for

PROGRAMS = ("tc", "ip")
APART = set(":;$")
"""What means something else in a list of directories to ld.so(8)."""


def check(dest: Path) -> None:
    """Raise UsageError if ``dest`` cannot be a new directory."""
    parent = dest.absolute().parent
    if os.path.lexists(dest) or not dest.name or dest.name == "..":
        raise UsageError(f"{dest} already exists", hint="remove it, or name another directory")
    if APART & set(str(dest.absolute())):
        raise UsageError(
            f"{dest.absolute()} contains : ; or $, which the loader of libraries takes apart",
            hint="name another directory",
        )
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"{parent} is not a directory that can be written")


def of_run(
    run: Path, request: Request, dest: Path, journal: Journal | None = None
) -> tuple[Path, ...]:
    """Unpack the packages of a run, or the distro's that it proved, at ``dest``.

    ``request`` is for the run's release: it says where the libraries come from if the cache no
    longer has them. Return the paths of the programs. Raises UsageError if the run was not proven,
    FetchError if its packages have changed since.
    """
    check(dest)
    report, lock = read(run), lockfile_reader.read(run / lockfile.NAME)
    files: Sequence[Artifact | VerifiedFile] = report.built.debs if report.built else report.control
    if not files or lock.guest is None:
        raise UsageError(
            f"{run} has no packages that were proven", hint=f"prove them with respin prove {run}"
        )
    with Progress(journal).stage("unpack") as stage, scratch(request.cache, "unpacked") as own:
        copies = [_copied(file, own) for file in files]
        archive = inputs.archive_of(replace(request, architecture=report.architecture))
        tar = guest_image.root_tar(archive, lock.guest.root, request.cache, None)
        architecture = archive.architecture
        debs = tested_packages.with_programs(copies, architecture)
        write(debs, tar, dest, machine_for(architecture).multiarch)
        stage.note(f"{debs[0].title} at {dest}")
    return tuple(dest / name for name in PROGRAMS)


def _copied(file: Artifact | VerifiedFile, directory: Path) -> Path:
    """Return a copy of a run's package, whose content is what the report says; or raise FetchError.

    Whoever owns the run could change the file between the check and the use of it.
    """
    copy = directory / file.path.name
    with contextlib.suppress(OSError):
        own_files.write(copy, bounded.read(file.path, tested_packages.LARGEST, follow=False))
        if file_sha256(copy) == file.sha256:
            return copy
    raise FetchError(f"{file.path} has changed since its run", hint="run respin run again")


def write(debs: Sequence[Deb], tar: Path, dest: Path, multiarch: str) -> None:
    """Unpack packages with tc and ip at ``dest``; ``tar`` is the root of their release's guest.

    ``multiarch`` is the directory of their architecture's libraries. Raises FetchError; then
    ``dest`` does not exist.
    """
    with lent.lent(dest.absolute().parent, ".respin-tc-") as part:
        package = part / "package"
        deb_file.extract([deb.path for deb in debs], package, error=FetchError, log=None)
        programs = {name: _program(package, name) for name in PROGRAMS}
        plugins = next((path for path in _plugins(package)), None)
        shared = [p for p in plugins.glob("*.so") if not p.is_symlink()] if plugins else []
        found = libraries.find(programs.values(), shared, tar, multiarch)
        _put(part, found)
        for name, path in programs.items():
            text = render(
                "unpacked/wrapper.sh.j2",
                loader=found.loader,
                program=path.relative_to(part),
                plugins=plugins.relative_to(part) if plugins else "",
            )
            own_files.write(part / name, text, mode=0o755)
        part.chmod(0o755)
        part.rename(dest)


def _put(part: Path, found: Found) -> None:
    for directory, each in (("lib", found.libraries), ("copyright", found.copyrights)):
        (part / directory).mkdir()
        for file in each:
            mode = 0o755 if file.name == found.loader else 0o644
            own_files.write(part / directory / file.name, file.data, mode=mode)


def _program(package: Path, name: str) -> Path:
    """Return a program of an unpacked package; raise FetchError if it has none."""
    places = (package / top / name for top in ("usr/sbin", "sbin", "usr/bin", "bin"))
    found = next((p for p in places if p.is_file() and not p.is_symlink()), None)
    if found is None:
        raise FetchError(
            f"the package has no {name}", hint="give a run that built or proved iproute2"
        )
    return found


def _plugins(package: Path) -> Iterator[Path]:
    """Yield the directory of tc's plugins and distributions.

    tc looks for them where TC_LIB_DIR says (get_tc_lib() in its tc/tc_util.c).
    """
    for pattern in ("usr/lib/*/tc", "usr/lib/tc", "lib/tc"):
        yield from (path for path in package.glob(pattern) if path.is_dir())
