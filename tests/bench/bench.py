# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure respin against sbuild on the same source, the same machine, in one run.

    python tests/bench/bench.py [--rounds N]

Everything is done by an ordinary user: by a temporary one if this is started by root. Prints
a table with seconds, the ratios that the project has set itself, and what memory each took.

    cold: nothing is there. sbuild makes its chroot tarball and builds; respin does all of
          ``respin run``, its smoke test included.
    warm: tarball, roots and ccache are there, as after two runs. sbuild builds; a fix has been
          edited, respin rebuilds the distro's source, whose C code is another now, as the next
          version, its smoke test included.
compared: the same, with a build without the patch in the cache, so that the run also says which
          functions the patch changed.

In a run the guest tries the distro's package while ours is being built; how long the smoke
stage takes by itself is measured by ``respin prove``, which has the short set of cases. ``respin
smoke`` then tries every case with both packages; its objects are compiled in that time, too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives.apt import AptArchive
from pipeline.host.cache import Cache
from pipeline.releases import releases

USER = "respin-bench"
RELEASE, VERSION = "bookworm", "6.1.0-3"
CHECKOUT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
LIMITS = {"cold": 1.0, "warm": 0.45, "compared": 0.45}
SMOKE_SECONDS = 10.0
MATRIX_SECONDS = 45.0
MEMORY = 2 << 30


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one command took."""

    seconds: float
    memory: int
    """Bytes by which anonymous and shared memory (tmpfs too) of the machine grew."""
    output: str


class Memory(threading.Thread):
    """Watches how much memory the machine uses that no file backs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._first = self.peak = self._now()

    def _now(self) -> int:
        lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
        values = {words[0]: int(words[1]) * 1024 for words in lines}
        return values["AnonPages:"] + values["Shmem:"]

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, self._now())

    def stop(self) -> int:
        """Return the bytes between the first moment and the worst."""
        self._over.set()
        self.join()
        return self.peak - self._first


class Bench:
    """A directory of a user's and what is measured in it."""

    def __init__(self, home: Path, user: str | None) -> None:
        self.home = home
        self._user = user

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        words = [str(a) for a in argv]
        return ["runuser", "-u", self._user, "--", *words] if self._user else words

    def run(self, *argv: str | Path) -> Measured:
        """Run a command as the user; end with its output if it fails."""
        print("+", " ".join(str(a) for a in argv), file=sys.stderr)
        env = {"HOME": str(self.home), "PATH": PATH, "LC_ALL": "C.UTF-8", "USER": self.name}
        env |= {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
        memory = Memory()
        memory.start()
        started = time.monotonic()
        with tempfile.TemporaryFile() as err:
            done = subprocess.run(
                self.argv(argv), cwd=self.home, env=env, stdout=subprocess.PIPE, stderr=err
            )
            seconds = time.monotonic() - started
            if done.returncode != 0:
                err.seek(0)
                text = done.stdout[-4000:] + err.read()[-4000:]
                sys.exit(f"{argv[0]} failed ({done.returncode}):\n{text.decode(errors='replace')}")
        return Measured(seconds=seconds, memory=memory.stop(), output=done.stdout.decode())

    @property
    def name(self) -> str:
        return self._user or pwd.getpwuid(os.getuid()).pw_name

    def own(self) -> None:
        """Give everything in the directory to the user."""
        if self._user:
            subprocess.run(["chown", "-R", f"{self._user}:", self.home], check=True)


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Yield a bench of an ordinary user; nothing is left of it in the end."""
    if os.geteuid() != 0:
        with tempfile.TemporaryDirectory() as home:
            yield Bench(Path(home), None)
        return
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", USER], check=True)
    try:
        yield Bench(Path(pwd.getpwnam(USER).pw_dir), USER)
    finally:
        subprocess.run(["userdel", "--remove", USER], check=True, stderr=subprocess.DEVNULL)


def set_up(b: Bench) -> tuple[Path, Path, Path, Path]:
    """Return respin, the .dsc, the distro's .deb and apt's sources, which the user can read."""
    ignore = shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache")
    # With symlinks: a copy of pipeline/_data/patches would hide what edit_fix writes.
    shutil.copytree(CHECKOUT, b.home / "checkout", ignore=ignore, symlinks=True)
    release = releases.find(RELEASE)
    found = releases.sources(release)
    stanzas = b.home / "release.sources"
    stanzas.write_text("\n".join(s.stanza() for s in found))
    with tempfile.TemporaryDirectory() as tmp:
        archive = AptArchive(release, found, Cache(Path(tmp)))
        source = archive.fetch_source("iproute2", VERSION, b.home / "source")
        distro = archive.fetch_binary("iproute2", VERSION, b.home / "distro").path
    b.own()
    return b.home / "checkout/respin", source.dsc, distro, stanzas


def sbuild(b: Bench, dsc: Path, tarball: Path) -> Measured:
    return b.run(
        "sbuild",
        "--chroot-mode=unshare",
        f"--chroot={tarball}",
        f"--dist={RELEASE}",
        "--arch-all",
        "--no-run-lintian",
        "--no-run-piuparts",
        "--no-run-autopkgtest",
        "--no-clean-source",
        dsc,
    )


def respin(b: Bench, program: Path, out: str, number: int, *more: str) -> Measured:
    argv: list[str | Path] = [program, "run", "--release", RELEASE, "--version", VERSION]
    argv += ["--number", str(number), "--out", b.home / out, "--cache", b.home / "cache"]
    return b.run(*argv, *more, "--json")


def edit_fix(program: Path, number: int) -> None:
    """Change what a fix writes into the source: the words of its first error message."""
    fix = program.parent / "patches/libbpf-legacy-maps/fix.cocci"
    before, found, after = fix.read_text().partition('fprintf(stderr, "')
    assert found, f"{fix} prints no error message"
    fix.write_text(f"{before}{found}[{number}] {after}")


def timings(run: Measured) -> dict[str, float]:
    seconds: dict[str, float] = json.loads(run.output)["timings"]
    return seconds


def results(matrix: Measured) -> int:
    """Return how many cells of the matrix were tried, before and after."""
    cases = [case for report in json.loads(matrix.output)["reports"] for case in report["cases"]]
    cells = [case[phase] for case in cases for phase in ("before", "after")]
    return sum(cell["seen"] != "not-possible" for cell in cells)


def compiled(run: Measured) -> int:
    """Return how many files ccache did not have."""
    counters: dict[str, int] = json.loads(run.output)["built"]["ccache"]
    return counters.get("cache_miss", 0)


def smoke_alone(b: Bench, program: Path, out: str) -> Measured:
    """Prove the packages of a run once more, with nothing beside it."""
    argv: list[str | Path] = [program, "prove", b.home / out, "--out", b.home / f"{out}-proven"]
    return b.run(*argv, "--cache", b.home / "cache", "--json")


def whole_matrix(b: Bench, program: Path, distro: Path, out: str) -> Measured:
    """Try every case with the distro's package and with that of a run."""
    (ours,) = (b.home / out / "debs").glob("iproute2_*.deb")
    argv: list[str | Path] = [program, "smoke", "--release", RELEASE, "--against", distro]
    return b.run(*argv, "--deb", ours, "--cache", b.home / "cache", "--json")


def main() -> int:
    """Measure, print, and say by the exit status whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="warm rounds [default: 1]")
    rounds = parser.parse_args().rounds
    with bench() as b:
        program, dsc, distro, stanzas = set_up(b)
        tarball = b.home / f"{RELEASE}.tar.zst"
        chroot = b.run("mmdebstrap", "--variant=buildd", RELEASE, tarball, stanzas)
        first = sbuild(b, dsc, tarball)
        rows = [("cold", chroot.seconds + first.seconds, respin(b, program, "out", 1))]
        theirs = max(chroot.memory, first.memory)
        respin(b, program, "filled", rounds + 4)
        for n in range(rounds):
            peer = sbuild(b, dsc, tarball)
            edit_fix(program, n)
            ours = respin(b, program, f"out{n}", n + 2)
            assert compiled(ours), "the edited fix has changed no file that is compiled"
            rows.append(("warm", peer.seconds, ours))
        respin(b, program, "control", rounds + 2, "--compare-build")
        edit_fix(program, rounds)
        rows.append(("compared", peer.seconds, respin(b, program, "compared", rounds + 3)))
        assert "compare" in timings(rows[-1][2]), "nothing was compared"
        smoke = timings(smoke_alone(b, program, "out0"))["smoke"]
        return show(rows, theirs, smoke, whole_matrix(b, program, distro, "out0"))


def show(
    rows: Sequence[tuple[str, float, Measured]], theirs: int, smoke: float, matrix: Measured
) -> int:
    """Print the table; return 1 if a limit is exceeded."""
    failed = smoke > SMOKE_SECONDS or matrix.seconds > MATRIX_SECONDS
    print(f"{'':9}{'sbuild':>9}{'respin':>9}{'ratio':>8}{'limit':>7}{'memory':>10}")
    for kind, peer, ours in rows:
        ratio = ours.seconds / peer
        failed |= ratio > LIMITS[kind] or ours.memory > MEMORY
        print(
            f"{kind:9}{peer:7.1f} s{ours.seconds:7.1f} s{ratio:8.2f}{LIMITS[kind]:7.2f}"
            f"{ours.memory / (1 << 20):6.0f} MiB"
        )
    print(f"smoke stage alone: {smoke:.1f} s, limit {SMOKE_SECONDS:.1f} s")
    print(
        f"whole matrix before and after, {results(matrix)} results: {matrix.seconds:.1f} s, "
        f"limit {MATRIX_SECONDS:.1f} s"
    )
    print(f"sbuild's memory: {theirs / (1 << 20):.0f} MiB")
    for kind, _, ours in rows:
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in timings(ours).items())
        print(f"{kind}: {stages}; compiled {compiled(ours)} files")
    print("a limit is exceeded" if failed else "all limits hold")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
