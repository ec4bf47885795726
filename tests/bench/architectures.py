# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure the proof of every architecture whose programs are installed here, in one run.

    python tests/bench/architectures.py [--together] [ARCHITECTURE ...]

The distro's own package is tested, and then once more in the place of ours, so that both phases
run. Prints the guest's seconds, all seconds of the processor, what they are to those of the first
architecture, and the memory of all processes.

With --together it measures instead a run for this machine's architecture and arm64 against one for
this machine's alone, both warm.

Exits 1 if a limit that the project has set itself is exceeded. On a busy machine, only the seconds
of the processor mean something.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import platformdirs

from pipeline.archives import host_apt
from pipeline.archives.apt import AptArchive
from pipeline.errors import RespinError
from pipeline.host.cache import Cache
from pipeline.releases import releases
from pipeline.releases.releases import Pocket
from pipeline.smoke import possible, smoke
from pipeline.smoke.cases import Case, select
from pipeline.vm.image import GuestImage
from pipeline.vm.machine import machines

CHECKOUT = Path(__file__).resolve().parents[2]
RELEASE, ELSEWHERE = "bookworm", {"riscv64": "trixie"}
"""Bookworm has no riscv64."""
SHORT, OTHER, WHOLE = {"amd64": 10.0, "arm64": 10.0}, 20.0, 60.0
"""Seconds that the short set may take by architecture, on any other, and the whole matrix."""
FOREIGN, TOGETHER = "arm64", 1.8
MEMORY = 2 << 30


@dataclass(frozen=True, kw_only=True)
class Took:
    """What something took."""

    seconds: float
    processor: float
    """Seconds of it, of all processes together."""
    memory: int
    """Bytes that no file backs, of all processes at the worst moment."""


class Memory(threading.Thread):
    """Watches the memory of this process and of all that it starts."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.peak = max(self.peak, _used(os.getpid()))

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self.peak


def _used(top: int) -> int:
    """Return the bytes of anonymous and shared memory of a process and its descendants."""
    parents, bytes_of = {}, {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
        except OSError:  # it has ended
            continue
        number = int(path.parent.name)
        parents[number] = int(fields["PPid"])
        kinds = (fields.get(name, "0 kB").split()[0] for name in ("RssAnon", "RssShmem"))
        bytes_of[number] = sum(map(int, kinds)) * 1024

    def below(number: int) -> bool:
        while number not in (0, top):
            number = parents.get(number, 0)
        return number == top

    return sum(size for number, size in bytes_of.items() if below(number))


def taking(do: Callable[[], float | None]) -> Took:
    """Return what it took to do something; the seconds are those that it returns, if any."""
    memory, begun, before = Memory(), time.monotonic(), _processor()
    memory.start()
    try:
        seconds = do()
    finally:
        peak = memory.stop()
    return Took(
        seconds=seconds or time.monotonic() - begun, processor=_processor() - before, memory=peak
    )


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def prepared(architecture: str, cache: Cache, directory: Path) -> tuple[GuestImage, Path]:
    """Return the guest of an architecture, and the distro's package."""
    possible.check(architecture)
    release = releases.find(ELSEWHERE.get(architecture, RELEASE))
    # Without the other pockets: a mirror may have them for some architectures only.
    pockets = (Pocket.RELEASE,)
    sources = releases.sources(release, pockets=pockets, architecture=architecture)
    archive = AptArchive(release, sources, cache, architecture=architecture)
    deb = archive.fetch_binary("iproute2", None, directory / "deb").path
    return smoke.prepare(archive, cache, log_dir=directory), deb


def tested(image: GuestImage, deb: Path, cases: Sequence[Case], cache: Cache, logs: Path) -> float:
    """Test a package before and after itself; return the guest's seconds."""
    again: Future[Sequence[Path]] = Future()
    again.set_result([deb])
    return smoke.smoke(
        image,
        before=[deb],
        after=again,
        turned={},
        lacks=None,
        cases=cases,
        cache=cache,
        log_dir=logs,
    ).seconds


def proofs(names: Sequence[str], cache: Cache) -> bool:
    """Measure the short set and the whole matrix; return whether a limit is exceeded."""
    failed = False
    first: dict[str, Took] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place)
            try:
                image, deb = prepared(name, cache, directory)
                tested(image, deb, select(["btf-maps"], ["tc"]), cache, directory)
                for kind, cases in (("short", select(None)), ("whole", select(None, whole=True))):
                    took = taking(partial(tested, image, deb, cases, cache, directory))
                    limit = WHOLE if kind == "whole" else SHORT.get(name, OTHER)
                    failed |= took.seconds > limit or took.memory > MEMORY
                    base = first.setdefault(kind, took)
                    show(f"{name} {kind}", took, base, f"{limit:.0f} s")
            except RespinError as e:
                print(f"{name:18} not measured: {e.brief}", flush=True)
    return failed


def together(cache: Cache) -> bool:
    """Measure a run for two architectures; return whether a limit is exceeded."""

    def run(directory: Path, *architectures: str) -> Took:
        argv: list[str | Path] = [
            CHECKOUT / "respin",
            "run",
            "--release",
            RELEASE,
            "--cache",
            cache.root,
        ]
        argv += ["--out", directory, "--json"]
        argv += [word for name in architectures for word in ("--architecture", name)]

        def call() -> None:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)

        return taking(call)

    own = host_apt.architecture()
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        for number in range(2):  # the second run fills ccache
            run(directory / f"first-{number}", own, FOREIGN)
        alone = run(directory / "alone", own)
        both = run(directory / "both", own, FOREIGN)
    show(f"{own} alone", alone, alone, "")
    show(f"{own} and {FOREIGN}", both, alone, f"{TOGETHER}")
    return both.seconds > TOGETHER * alone.seconds or both.memory > MEMORY


def show(what: str, took: Took, first: Took, limit: str) -> None:
    """Print a line."""
    print(
        f"{what:18}{took.seconds:7.1f} s{took.seconds / first.seconds:6.2f}{limit:>6}"
        f"{took.processor:8.1f} s{took.processor / first.processor:6.2f}"
        f"{took.memory / (1 << 20):7.0f} MiB",
        flush=True,
    )


def main() -> int:
    """Measure, print, and say by the exit status whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--together", action="store_true", help="a run for two architectures")
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE")
    options = parser.parse_args()
    named = os.environ.get("RESPIN_TEST_CACHE")
    cache = Cache(Path(named) if named else platformdirs.user_cache_path("respin-tests"))
    print(
        f"{'':18}{'seconds':>9}{'ratio':>6}{'limit':>6}{'processor':>10}{'ratio':>6}{'memory':>11}"
    )
    if options.together:
        failed = together(cache)
    else:
        failed = proofs(options.architectures or list(machines()), cache)
    print("a limit is exceeded" if failed else "all limits hold")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
