# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine on which respin cannot work: one sentence with what to do, and nothing downloaded.

Today's machines lack none of this, so each lack is simulated (tests/support/badhost.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import badhost, cli
from support.archive import Archive, Signer
from support.packages import make_source

from pipeline.errors import UsageError
from pipeline.fixes import fixes, self_check
from pipeline.host.cache import Cache

pytestmark = pytest.mark.bad_input

GOLDEN = Path(__file__).parents[1] / "golden/fixes"
SPATCH = """case "$1" in --version)
echo "spatch version {version} compiled with OCaml version 5.3.0"
echo "Python scripting support: {python}"
exit;; esac
{rest}"""
DAY = 24 * 3600


@pytest.fixture(scope="module", autouse=True)
def _no_installation_left() -> Iterator[None]:
    yield
    cli.remove_installed()


@dataclass(frozen=True, kw_only=True)
class Place:
    """An archive, and where respin is called."""

    archive: Archive
    directory: Path

    def run(
        self, begin: Sequence[str | Path], *command: str | Path, more: Sequence[str] = ()
    ) -> cli.Said:
        return cli.respin(
            *(command or ("run", "--release", "bookworm", "--mirror", self.archive.url)),
            *(() if command else ("--keyring", self.archive.keyring, "--out", "out")),
            cache=self.directory / "cache",
            cwd=self.directory,
            timeout=120,
            begin=begin,
            more=more,
        )

    def refused(
        self,
        begin: Sequence[str | Path],
        *words: str,
        code: int,
        more: Sequence[str] = (),
        fetched: int = 0,
    ) -> cli.Said:
        """Hold that a run is refused in these words, with this exit code, and leaves nothing."""
        said = self.run(begin, more=more)
        assert said.status == code, said.err
        assert said.out == "" and said.err.startswith("respin: ")
        assert "Traceback" not in said.err
        told = " ".join(said.err.split())
        assert all(word in told for word in words), said.err
        assert len(self.archive.requests) == fetched
        assert {p.name for p in self.directory.iterdir()} <= {"cache"}
        return said


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, signer: Signer) -> Iterator[Place]:
    # Another user has to reach it, and its name is shown.
    with (
        tempfile.TemporaryDirectory(prefix="respin-host-", dir="/tmp") as directory,
        Archive(tmp_path / "archive", signer) as archive,
    ):
        Path(directory).chmod(0o1777)
        tree = GOLDEN / "v4.20-fixed/in"
        files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
        archive.add_source(make_source(tmp_path / "source", files=files))
        archive.publish()
        yield Place(archive=archive, directory=Path(directory))


def spatch(version: str, rest: str, *, python: str = "yes") -> dict[str, str]:
    return {"spatch": SPATCH.format(version=version, python=python, rest=rest)}


def test_control_stand_ins_do_no_harm(place: Place, tmp_path: Path) -> None:
    """Another version of Coccinelle that does what is known is used; and it is checked once."""
    begin = badhost.with_programs(tmp_path / "p", spatch("9.9", 'exec /usr/bin/spatch "$@"'))
    said = place.run(begin)
    assert said.status == 0, said.err
    kept = place.directory / "cache" / self_check.KIND
    assert [p.read_text()[:18] for p in kept.iterdir() if p.is_file()] == ["spatch version 9.9"]


def test_coccinelle_without_python(place: Place, tmp_path: Path) -> None:
    begin = badhost.with_programs(tmp_path / "p", spatch("1.1.1", "exit 1", python="no"))
    place.refused(
        begin,
        "version 1.1.1) was built without Python scripting",
        "apt-get install coccinelle libpython3-dev",
        code=2,
    )


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("exit 0", "verdict is unknown"),  # another dialect: it matches nothing
        ("echo no libpython >&2; exit 2", "no libpython"),
        # The first fix fails after the others, which must not interrupt it.
        ("grep -q AF_ALG *.cocci && sleep 1; echo no libpython >&2; exit 2", "no libpython"),
    ],
)
def test_coccinelle_of_another_dialect(place: Place, tmp_path: Path, rest: str, words: str) -> None:
    begin = badhost.with_programs(tmp_path / "p", spatch("9.9", rest))
    known = "versions 1.1.1 and 1.3 of Coccinelle are known to work"
    place.refused(begin, "(version 9.9) fails the self-check", words, known, code=2)
    said = place.run(begin, "doctor")
    assert said.status == 2
    told = " ".join(said.out.split() + said.err.split())
    assert "(version 9.9) fails the self-check" in told and known in told


def test_a_coccinelle_that_changes_is_checked_again(tmp_path: Path) -> None:
    """What is kept is kept for the version, and for the semantic patches as they are."""
    cache = Cache(tmp_path / "cache")
    copies = []
    for fix in fixes.all_fixes():
        shutil.copytree(fix.directory, tmp_path / fix.name)
        copies.append(fixes.load(tmp_path / fix.name))
    self_check.check(cache, copies)
    path = next(fix for fix in copies if fix.name == "libbpf-legacy-maps").diagnose_cocci
    changed = path.read_text().replace('"libbpf-only"', '"another-shape"')
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UsageError, match="fails the self-check"):
        self_check.check(cache, copies)


def test_clang_without_bpf(place: Place, tmp_path: Path) -> None:
    script = "echo '  Registered Targets:'; echo '    x86-64     - 64-bit X86'"
    begin = badhost.with_programs(tmp_path / "p", {"clang": script})
    place.refused(
        begin, "cannot compile for BPF (target bpfel)", "versions 14 and 19", "apt", code=15
    )


def test_qemu_without_the_machine(place: Place, tmp_path: Path) -> None:
    script = "echo 'Supported machines are:'; echo 'microvm     microvm (i386)'"
    names = ("qemu-system-x86_64", "qemu-system-aarch64")
    begin = badhost.with_programs(tmp_path / "p", dict.fromkeys(names, script))
    place.refused(begin, "has no machine type", "versions 7.2 and 10.0", "apt", code=15)


@pytest.mark.parametrize("version", ["1.0.9.8", "one"])
def test_an_apt_that_is_too_old(place: Place, tmp_path: Path, version: str) -> None:
    begin = badhost.with_programs(tmp_path / "p", {"apt-get": f"echo 'apt {version} (amd64)'"})
    place.refused(begin, "is too old", "Signed-By", "run respin on a newer release", code=2)


@pytest.mark.parametrize(
    ("off", "words"),
    [(-3 * DAY, "is dated in the future"), (30 * DAY, "has expired")],
    ids=["behind", "ahead"],
)
def test_a_clock_that_is_off(place: Place, tmp_path: Path, off: int, words: str) -> None:
    """Only what says so is fetched: the signed index."""
    place.refused(
        badhost.with_clock(tmp_path / "c", off),
        f"{words} by this machine's clock",
        "and the clock says",
        "check this machine's clock",
        code=10,
        more=[badhost.PRELOAD],
        fetched=1,
    )


SETTINGS = {
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
    "kernel/unprivileged_userns_clone": ("0", "1"),
    "user/max_user_namespaces": ("0", "10000"),
}


@pytest.mark.parametrize("who", ["user", "root"])
@pytest.mark.parametrize("name", SETTINGS)
def test_user_namespaces_are_closed(place: Place, tmp_path: Path, name: str, who: str) -> None:
    closed, opened = SETTINGS[name]
    begin = badhost.without_user_namespaces(
        place.directory.parent / f"{place.directory.name}-proc", name, closed, user=who == "user"
    )
    try:
        said = place.run(begin)
        assert said.status in (2, 13), said.err  # no sandbox, or no container
        assert f"call sysctl -w {name.replace('/', '.')}={opened}" in " ".join(said.err.split())
        assert place.archive.requests == [] and "Traceback" not in said.err
        assert {p.name for p in place.directory.iterdir()} <= {"cache"}
    finally:
        shutil.rmtree(f"{place.directory}-proc")


def test_python_without_venv(tmp_path: Path) -> None:
    """The tests' side: make says so before it makes anything."""
    script = (
        f'case "$*" in *venv*) echo no ensurepip >&2; exit 1;; esac; exec {cli.SYSTEM_PYTHON} "$@"'
    )
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    said = subprocess.run(
        ["make", "venv-possible", f"PYTHON={python}"],
        cwd=cli.CHECKOUT,
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert "cannot make a virtual environment; install it: apt install python3-venv" in said.stderr
