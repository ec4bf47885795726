# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A small package that contains the loader's three functions, and a run of it.

``make`` makes its source: a ``tc`` that reads descriptions of objects and says what the
functions find in them (tests/variants/harness.c). ``run`` has the stages of pipeline/run.py,
except for the proof: in the guest, the programs before and after get the description of an
object with maps as LLVM 8 and later make them.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from pipeline.build import build
from pipeline.build.build import BuildRoot
from pipeline.containers.base import copy_out, make_build_user
from pipeline.containers.unshare import Unshare
from pipeline.fixes import diagnose
from pipeline.host import command
from pipeline.host.cache import file_sha256
from pipeline.host.progress import QUIET
from pipeline.model import CaseResult, Cell, Expect, Seen, SmokeReport, VerifiedFile
from pipeline.runs import report
from pipeline.runs.directory import open_run
from pipeline.runs.inputs import Used
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.runs.stages import begin
from pipeline.smoke import guest_image
from pipeline.smoke.guest_files import HOME
from pipeline.smoke.guest_session import GuestPlan, play
from pipeline.smoke.matrix import Command, Row
from pipeline.vm import qemu
from pipeline.vm.image import GuestImage
from pipeline.vm.machine import machine_for
from support import packages, real
from support.filled import filled

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden/fixes"
VULNERABLE, FIXED, STRANGE = "v4.10-three-functions", "v4.20-fixed", "unknown-second-test"

# Two global maps of type STT_OBJECT in the section "maps", of 36 bytes each.
OBJECT = "object prog 36 72\nsymbol one 1 1 1 0\nsymbol two 1 1 1 36\nrun\n"
LOADS = "tc prog 2 0 one two\n"
REFUSED = "tc prog 0 0 - -\n"

MAKEFILE = """tc: tc.o
\t$(CC) $(CFLAGS) -static -o $@ tc.o $(LDFLAGS) -lelf -lz

tc.o: tc.c
\t$(CC) $(CPPFLAGS) $(CFLAGS) -w -DMAP_MEMBERS=9 -I. -c -o $@ tc.c

install:
\tinstall -D tc $(DESTDIR)/sbin/tc

clean:
\trm -f tc tc.o
"""
TABLE = """#include "lib/bpf.c"
static const struct variant variants[] = {
	{ "tc", bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name },
	{ 0 },
};
"""


def make(
    directory: Path, version: str, golden: str = VULNERABLE, *, rules: str = packages.RULES
) -> Path:
    """Make a source package in ``directory``; return its .dsc. ``golden`` has the functions."""
    files = {
        "lib/bpf.c": (GOLDEN / golden / "in/lib/bpf.c").read_text(),
        "tc.c": (TESTS / "variants/harness.c").read_text(),
        "table.h": TABLE,
        "Makefile": MAKEFILE,
    }
    depends = "debhelper-compat (= 13), libelf-dev"
    return packages.make_source(
        directory, version=version, files=files, build_depends=depends, rules=rules
    )


def run(request: Request, out: Path) -> Report:
    """Fetch, diagnose, patch, build and prove, as pipeline/run.py does."""
    with open_run(out, request.cache, keep=request.keep, logs=request.logs) as directory:
        with begin(request, directory, None) as stages, command.threads(2) as pool:
            source = stages.inputs.fetch()
            tree = stages.inputs.tree(source)
            findings = stages.patching.diagnose(tree)
            needed = diagnose.needed_fixes(request.fixes, findings)
            patched = built = smoke = None
            control: tuple[VerifiedFile, ...] = ()
            if needed:
                before = _built_here(tree, source.version, request)
                control = (_kept(before, directory.path / "control"),)
                patched = stages.patching.patch(source, tree, needed)
                stages.patching.check_version(patched)
                stages.patching.check(patched)
                coming = pool.submit(
                    build.build,
                    _root(request),
                    patched.dsc,
                    patched.version,
                    patched.epoch,
                    directory.path / "debs",
                    cache=request.cache,
                    log_dir=directory.logs,
                    stage=QUIET,
                )
                debs: Future[Sequence[Path]] = pool.submit(
                    lambda: coming.result().files("iproute2")
                )
                smoke = _smoke(request, directory.logs, before, debs)
                built = coming.result()
            done = Report(
                outcome=Outcome.FIXED if needed else Outcome.NOT_NEEDED,
                architecture=request.target,
                source=source,
                findings=findings,
                patched=patched,
                built=built,
                control=control,
                smoke=smoke,
            )
        report.write(done, directory.path)
        stages.inputs.write_lock(done, Used())
    return report.moved(done, directory.path, out.absolute())


def _kept(deb: Path, directory: Path) -> VerifiedFile:
    """Return a copy of a package in the directory of a run."""
    directory.mkdir()
    path = Path(shutil.copy(deb, directory))
    sha256 = file_sha256(path)
    return VerifiedFile(
        path=path, size=path.stat().st_size, sha256=sha256, verified="compiled here"
    )


def _root(request: Request) -> BuildRoot:
    return real.root(request.target if request.cross else "")


def _built_here(tree: Path, version: str, request: Request) -> Path:
    """Return the distro's package: the program of a source tree, compiled in a build's root.

    No static program can be linked with Debian 13's libelf.a, which lacks functions it calls.
    """
    tar = Path(shutil.make_archive(str(tree.parent / "tree"), "tar", tree))
    compiler = machine_for(request.target).compiler
    with Unshare(_root(request).tree, real.cache()) as container:
        make_build_user(container)
        argv = ["tar", "--extract", "--file=-", "--directory=/build", "--no-same-owner"]
        container.call(argv, stdin=tar)
        container.call(["make", "tc", f"CC={compiler}"], directory="/build")
        copy_out(container, "/build", ["tc"], tree.parent)
    program = tree.parent / "tc"
    program.chmod(0o755)
    return packages.make_deb(
        tree.parent, "iproute2", version, architecture=request.target, programs={"sbin/tc": program}
    )


@functools.cache
def _image(architecture: str = "") -> GuestImage:
    """Return the guest of Debian 12, in which all packages are proven."""
    cache = real.cache()
    archive = real.archive("bookworm", architecture)
    return guest_image.prepare(archive, cache, log_dir=cache.root / "logs")


def _smoke(
    request: Request, logs: Path, before: Path, coming: Future[Sequence[Path]]
) -> SmokeReport:
    """Return the programs' results in a guest: the first must find no map, the second all."""
    objects = logs / "two-maps"
    objects.write_text(OBJECT)
    script = logs / "two-maps.sh"
    script.write_text(f"/sbin/tc <{HOME}/two-maps.o\n")
    load = filled(
        Row,
        case="two-maps",
        name="two-maps",
        object=objects,
        script=script,
        commands=(Command(argv=("/bin/sh", f"{HOME}/two-maps.sh")),),
    )
    image, cache = _image(request.architecture), request.cache
    accel = qemu.accelerator(image.machine, image.vmlinuz, cache)
    guest = GuestPlan(image=image, rows=[load], accel=accel, seconds=120, cache=cache, log_dir=logs)
    played = play(guest, ("before", "after"), [before], coming)

    def cell(phase: str, wanted: str, expected: Expect) -> Cell:
        ran = played.said.ran[f"{phase}:0"]
        return filled(
            Cell,
            expected=expected,
            seen=Seen.LOADS if ran.output == LOADS else Seen.REFUSED,
            ok=ran.output == wanted,
            command="tc",
            status=ran.status,
            output=ran.output,
        )

    row = filled(
        CaseResult,
        case="two-maps",
        title="two maps of type STT_OBJECT",
        way="tc",
        before=cell("before", REFUSED, Expect.REFUSED),
        after=cell("after", LOADS, Expect.LOADS),
    )
    assert row.before.ok and row.after and row.after.ok, row
    return filled(
        SmokeReport,
        place="guest",
        architecture=request.target,
        kernel=played.said.kernel,
        kernel_package=image.package,
        accelerator=accel,
        packages=(before.name, "the one after"),
        loaders=("own", "own"),
        cases=(row,),
        seconds=played.seconds,
    )
