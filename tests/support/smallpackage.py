"""A small package that carries the loader's three functions, and a run of it without a guest.

``make`` makes its source: a ``tc`` that reads descriptions of objects and says what the
functions find in them (tests/variants/harness.c). ``run`` is pipeline/run.py's, with the
same stages over it, but for the proof: the programs before and after are run here, on an
object with maps as LLVM 8 and later make them.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from pipeline import build, report
from pipeline.model import CaseResult, Cell, Expect, Package, Seen, SmokeReport
from pipeline.order import Order
from pipeline.progress import QUIET, Progress
from pipeline.report import Outcome, Report
from pipeline.run import needed_fixes
from pipeline.runfolder import open_run
from pipeline.work import Work
from support import packages, real
from support.filled import filled

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden/fixes"
VULNERABLE, FIXED, STRANGE = "v4.10-three-functions", "v4.20-fixed", "unknown-second-test"

# Two global maps of type STT_OBJECT in the section "maps", of 36 bytes each.
OBJECT = "object prog 36 72\nsymbol one 1 1 1 0\nsymbol two 1 1 1 36\nrun\n"
LOADS = "tc prog 2 0 one two\n"
REFUSED = "tc prog 0 0 - -\n"

MAKEFILE = """tc: tc.c
\t$(CC) $(CPPFLAGS) $(CFLAGS) -w -DMAP_MEMBERS=9 -I. -static -o $@ tc.c $(LDFLAGS) -lelf -lz

install:
\tinstall -D tc $(DESTDIR)/sbin/tc

clean:
\trm -f tc
"""
TABLE = """#include "lib/bpf.c"
static const struct variant variants[] = {
	{ "tc", bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name },
	{ 0 },
};
"""


def make(folder: Path, version: str, golden: str = VULNERABLE) -> Path:
    """Make the source package in ``folder`` and return its .dsc; ``golden`` has the functions."""
    files = {
        "lib/bpf.c": (GOLDEN / golden / "in/lib/bpf.c").read_text(),
        "tc.c": (TESTS / "variants/harness.c").read_text(),
        "table.h": TABLE,
        "Makefile": MAKEFILE,
    }
    depends = "debhelper-compat (= 13), libelf-dev"
    return packages.make_source(folder, version=version, files=files, build_depends=depends)


def run(order: Order, out: Path) -> Report:
    """Fetch, diagnose, patch, build and prove, as pipeline/run.py does."""
    with open_run(out, order.cache, keep=order.keep, logs=order.logs) as folder:
        work = Work(order, folder, Progress())
        with work.scratch():
            source = work.fetch()
            tree = work.tree(source)
            findings = work.diagnose(tree)
            needed = needed_fixes(order.fixes, findings)
            patched = built = smoke = None
            if needed:
                before = _built_here(tree)
                patched = work.patch(source, needed)
                work.check_patched(patched)
                built = build.build(
                    real.root(),
                    patched.dsc,
                    patched.version,
                    patched.epoch,
                    folder.path / "debs",
                    cache=order.cache,
                    log_dir=folder.logs,
                    stage=QUIET,
                )
                deb = next(d.path for d in built.debs if d.path.name.startswith("iproute2_"))
                smoke = _smoke(before, _unpacked(deb))
            done = Report(
                outcome=Outcome.FIXED if needed else Outcome.NOT_NEEDED,
                source=source,
                findings=findings,
                patched=patched,
                built=built,
                smoke=smoke,
            )
        report.write(done, folder.path)
        work.write_lock(done)
    return report.moved(done, folder.path, out.absolute())


def _built_here(tree: Path) -> str:
    """Return what the program of a source tree says, compiled on this machine."""
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "tc"
        options = ["-w", "-DMAP_MEMBERS=9", f"-I{tree}"]
        subprocess.run(["gcc", *options, "-o", program, tree / "tc.c", "-lelf"], check=True)
        return says(program)


def _unpacked(deb: Path) -> str:
    """Return what the program in a .deb says."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["dpkg-deb", "-x", deb, name], check=True)
        return says(Path(name) / "sbin/tc")


def says(program: Path) -> str:
    """Return what a program says of the object."""
    done = subprocess.run(
        [program], input=OBJECT, text=True, capture_output=True, check=True, cwd="/tmp"
    )
    return done.stdout


def _smoke(before: str, after: str) -> SmokeReport:
    """Return the report on two programs: the first must find no map, the second all."""

    def cell(said: str, wanted: str, expected: Expect) -> Cell:
        return filled(
            Cell,
            expected=expected,
            seen=Seen.LOADS if said == LOADS else Seen.REFUSED,
            ok=said == wanted,
            command="tc",
            output=said,
        )

    row = filled(
        CaseResult,
        case="two-maps",
        title="two maps of type STT_OBJECT",
        way="tc",
        before=cell(before, REFUSED, Expect.REFUSED),
        after=cell(after, LOADS, Expect.LOADS),
    )
    assert row.before.ok and row.after and row.after.ok, row
    return filled(
        SmokeReport,
        kernel="none: run here",
        kernel_package=Package(name="none", version="0", architecture="all"),
        accelerator="none",
        before=before,
        after=after,
        cases=(row,),
    )
