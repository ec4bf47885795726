# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker runs or mirrors an index of Python packages, or has an account there. The aim is to
have their code run where respin is installed, tested or released, often as root.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support import cli, project
from support.cli import CHECKOUT
from support.project import LOCKS, entries, make

from pipeline import __version__
from pipeline.cli import doctor

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
DEBIAN = {
    "cattrs": "python3-cattr",
    "pyelftools": "python3-pyelftools",
    "python-debian": "python3-debian",
}
"""Debian's package for a library where it is not python3-NAME."""
VERSIONS = """\
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


@pytest.mark.attack
@pytest.mark.parametrize("made", [True, False])
def test_an_index_gives_make_deb_what_it_likes(made: bool, tmp_path: Path) -> None:
    """What `make deb` would run asks no index, in a fresh checkout or one with a .venv."""
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    if made:
        (tmp_path / ".venv").mkdir()
    said = make("--dry-run", "deb", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[0] == "tools/install-packages packages.txt"
    assert "./respin run " in said.stdout
    assert not re.search(r"pip|venv|curl|wget|uv\b", said.stdout)


@pytest.mark.attack
def test_a_module_in_the_current_directory_or_in_pythonpath(tmp_path: Path) -> None:
    """./respin imports neither what lies where it is called nor what PYTHONPATH names."""
    ran = tmp_path / "ran"
    for name in ("click", "sitecustomize", "pipeline"):
        (tmp_path / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\nraise SystemExit(0)\n")
    argv = [str(CHECKOUT / "respin"), "--help"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "diagnose" in done.stdout, done.stderr
    assert not ran.exists()


@pytest.mark.bad_input
@pytest.mark.parametrize("line", ["import no_such_library", "from no_such_library import part"])
def test_a_library_is_missing(line: str, tmp_path: Path) -> None:
    """The second has the name of a directory of the checkout, as python-debian's has."""
    shutil.copy(CHECKOUT / "respin", tmp_path)
    (tmp_path / "pipeline/cli").mkdir(parents=True)
    shutil.copy(CHECKOUT / "pipeline/__main__.py", tmp_path / "pipeline")
    (tmp_path / "pipeline/cli/main.py").write_text(f"{line}\n")
    if line.startswith("from"):
        (tmp_path / "no_such_library").mkdir()
    done = subprocess.run([tmp_path / "respin"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("respin: Python's library no_such_library is missing")
    assert "make packages" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.bad_input
def test_a_library_is_missing_that_is_imported_later(tmp_path: Path) -> None:
    """It is missed at the start, not in the middle of a run."""
    shutil.copy(CHECKOUT / "respin", tmp_path)
    (tmp_path / "pipeline/cli").mkdir(parents=True)
    text = (CHECKOUT / "pipeline/__main__.py").read_text()
    assert '"requests"' in text
    (tmp_path / "pipeline/__main__.py").write_text(text.replace('"requests"', '"no_such_library"'))
    (tmp_path / "pipeline/cli/main.py").write_text("def main(): print('begun')\n")
    done = subprocess.run([tmp_path / "respin"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("respin: Python's library no_such_library is missing")


@pytest.mark.attack
@pytest.mark.parametrize("lock", LOCKS)
def test_a_line_of_the_lock_without_a_hash(lock: str) -> None:
    found = entries(lock)
    assert len(found) > 10
    assert all(found.values()), [name for name, hashes in found.items() if not hashes]


@pytest.mark.attack
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_names_an_index(lock: str) -> None:
    """Which index is asked is up to the machine; the lock holds whatever it gives."""
    text = (CHECKOUT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted)\b", text, re.M)


@pytest.mark.attack
@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ()), (LOCKS[1], ("test", "release"))])
def test_a_requirement_that_the_lock_does_not_hold(lock: str, extras: tuple[str, ...]) -> None:
    """pyproject.toml and the lock agree: nothing new is left to the index of the day."""
    held: dict[str, set[str]] = {}  # a version for each Python that the lock tells apart
    for name, version in (name.split("==") for name in entries(lock)):
        held.setdefault(name, set()).add(version)
    wanted = [*PROJECT["dependencies"]]
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    for requirement in map(Requirement, wanted):
        versions = held.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is not in {lock}: make lock"
        fitting = set(requirement.specifier.filter(versions))
        # Without a marker, the requirement is one for every Python.
        expected = fitting if requirement.marker and fitting else versions
        assert fitting == expected, f"{lock} has {versions}: make lock"


@pytest.mark.attack
def test_a_release_that_came_out_an_hour_ago() -> None:
    """`make lock` makes both locks without the newest, without what builds as it is installed."""
    said = make("--dry-run", "lock", "UPGRADE=1").stdout.replace("\\\n", "")
    calls = [line for line in said.splitlines() if "uv pip compile" in line]
    assert len(calls) == len(LOCKS)
    for call in calls:
        assert {"--generate-hashes", "--upgrade"} <= set(call.split())
        assert "--only-binary :all:" in call and "--exclude-newer '7 days'" in call


@pytest.mark.attack
def test_the_two_locks_disagree() -> None:
    run, dev = map(entries, LOCKS)
    assert {name: dev.get(name) for name in run} == run


def wheel(directory: Path, code: str = "") -> Path:
    """Make a wheel of the package ``lamb`` 1.0."""
    path = directory / "lamb-1.0-py3-none-any.whl"
    about = "lamb-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("lamb.py", code)
        out.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: lamb\nVersion: 1.0\n")
        out.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        out.writestr(f"{about}/RECORD", f"lamb.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n")
    return path


def sdist(directory: Path, ran: Path) -> Path:
    """Make a source distribution of ``lamb`` 1.0 whose build, by itself, leaves a file."""
    tree = directory / "lamb-1.0"
    tree.mkdir()
    (tree / "wolf.py").write_text(f"open({str(ran)!r}, 'w')\n")
    (tree / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "wolf"\nbackend-path = ["."]\n'
    )
    (tree / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: lamb\nVersion: 1.0\n")
    path = Path(shutil.make_archive(str(tree), "gztar", directory, tree.name))
    shutil.rmtree(tree)
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    directory = tmp_path / "index"
    directory.mkdir()
    return directory


def install(index: Path, lines: str) -> tuple[int, list[str]]:
    """Do what the Makefile does with a lock, from an index on this disk, into a directory.

    Returns pip's status and what lies in the directory.
    """
    said = make("--dry-run", "--assume-new=requirements-dev.lock", ".venv/locked").stdout
    (line,) = [line.split() for line in said.splitlines() if ".venv/bin/pip" in line]
    (index / "requirements-dev.lock").write_text(lines)
    into = index / "installed"
    done = subprocess.run(
        [sys.executable, "-m", "pip", *line[1:], "--target", into],
        cwd=index,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
            **{"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)},
        },
        capture_output=True,
        check=False,
    )
    return done.returncode, [path.name for path in into.glob("*.py")]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.attack
def test_an_index_that_serves_another_wheel(index: Path) -> None:
    """The same name and version with other bytes: refused; with the locked ones: installed."""
    line = f"lamb==1.0 --hash=sha256:{digest(wheel(index))}\n"
    assert install(index, line) == (0, ["lamb.py"])
    shutil.rmtree(index / "installed")
    wheel(index, "import os\n")
    assert install(index, line) == (1, [])


@pytest.mark.attack
def test_a_dependency_that_nobody_locked(index: Path) -> None:
    wheel(index)
    assert install(index, "lamb==1.0\n") == (1, [])


@pytest.mark.attack
def test_a_source_distribution_that_runs_as_it_is_installed(index: Path, tmp_path: Path) -> None:
    """What the hash holds would run here, as root perhaps: only wheels are taken."""
    ran = tmp_path / "ran"
    found = sdist(index, ran)
    assert install(index, f"lamb==1.0 --hash=sha256:{digest(found)}\n") == (1, [])
    assert not ran.exists()


@pytest.mark.attack
def test_what_an_older_lock_left_behind() -> None:
    """A new lock begins with an empty environment: nothing that it no longer names stays."""
    said = make("--dry-run", "--assume-new=requirements-dev.lock", ".venv/locked").stdout
    steps = [line.partition(" -m ")[2] or line for line in said.splitlines()]
    begin = steps.index("venv --clear .venv")
    assert next(n for n, step in enumerate(steps) if ".venv/bin/" in step) == begin + 1
    assert ".venv/bin/pip" in steps[begin + 1]


@pytest.mark.attack
def test_any_other_place_that_installs_without_hashes() -> None:
    """Each line of the project that calls pip, or what does the same, is one that fetches
    nothing or holds what it fetches against a hash."""
    installs = re.compile(r"\b(pip3?|pipx|easy_install)\W+(-\S+\W+)*install\b|npx |npm i|curl .*\|")
    safe = ("--require-hashes", "--no-index")
    wrong = []
    for path in project.files():
        if path.suffix == ".lock" or path == Path(__file__):
            continue
        text = path.read_text(errors="replace")
        wrong += [
            f"{path.relative_to(CHECKOUT)}: {line.strip()}"
            for line in text.splitlines()
            if installs.search(line) and not any(word in line for word in safe)
        ]
    assert not wrong


@pytest.mark.attack
def test_the_tests_respin_is_installed_from_an_index() -> None:
    """What tests/support/cli.py installs is respin alone."""
    directory = cli.installed()
    names = {path.name for path in directory.iterdir()} - {"bin", "respin.toml"}
    assert names == {"pipeline", f"iproute2_respin-{__version__}.dist-info"}


@pytest.mark.bad_input
def test_a_library_that_packages_txt_does_not_have() -> None:
    """Each dependency is in packages.txt by Debian's name, and new enough there."""
    listed = {need.package for need in doctor.needs() if need.stages == ("setup",)}
    wanted = {
        requirement.name: DEBIAN.get(requirement.name, f"python3-{requirement.name}")
        for requirement in map(Requirement, PROJECT["dependencies"])
    }
    assert listed == {*wanted.values(), "python3"}
    argv = [str(cli.SYSTEM_PYTHON), "-I", "-c", VERSIONS, *wanted]
    found = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert Version(found[requirement.name]) in requirement.specifier


@pytest.fixture(scope="module", autouse=True)
def _no_installation_left() -> Iterator[None]:
    yield
    cli.remove_installed()
