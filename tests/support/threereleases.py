# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three releases for two architectures with the small package, and respin as engines call it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from debian import deb822

from pipeline.config import config
from pipeline.nightly import status
from pipeline.nightly.state import State
from pipeline.proof import envelope
from support import nights, packages, published, real, smallpackage
from support.archive import Signer
from support.nights import Distro

VERSIONS = {"bullseye": "5.10.0-4", "bookworm": "6.1.0-3", "trixie": "6.15.0-1"}
ARCHITECTURES = ("amd64", "arm64")
KEYRING = "archive-keyring"
WORKER = Path(__file__).with_name("worker.py")


@dataclass(kw_only=True)
class Three:
    """The archives, and one cache for all."""

    directory: Path
    distros: tuple[Distro, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def configure(self, place: Path, *, more: str = "", state: str = 'state = "state"') -> Path:
        """Write respin.toml in a directory; return its path."""
        place.mkdir(parents=True, exist_ok=True)
        text = nights.TOML.format(
            releases=json.dumps([d.name for d in self.distros]),
            notifications=place / "notifications",
        ).replace('state = "state"', f"{state}\narchitectures = {json.dumps(ARCHITECTURES)}")
        text += more
        for each in self.distros:
            text += nights.RELEASE.format(name=each.name, url=each.url, keyring=each.trusted)
        (place / "respin.toml").write_text(text)
        return place / "respin.toml"

    def respin(
        self, configuration: Path, *args: str | Path, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Call respin, whose runs are those of worker.py."""
        done = subprocess.run(
            [self.program, *args],
            env={**self.environment, "RESPIN_CONFIG": str(configuration)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    @property
    def program(self) -> Path:
        """A program respin, whose runs are those of worker.py."""
        return self.directory / "bin/respin"


@contextmanager
def begin(directory: Path, names: Sequence[str] = tuple(VERSIONS)) -> Iterator[Three]:
    """Yield the releases, of which nothing has been run."""
    with ExitStack() as stack:
        signer = stack.enter_context(Signer("distro"))
        distros = tuple(stack.enter_context(Distro(directory, signer, n)) for n in names)
        for distro in distros:
            version = VERSIONS[distro.name]
            distro.architecture = " ".join(ARCHITECTURES)
            for each in ARCHITECTURES:
                place = directory / "debs" / distro.name / each
                place.mkdir(parents=True)
                made = packages.make_deb(place, "iproute2", version, architecture=each)
                distro.add_deb(made)
            distro.now_has(smallpackage.make(directory / "made" / distro.name, version))
        three = Three(directory=directory, distros=distros)
        three.program.parent.mkdir()
        paths = f"{WORKER.parents[2]}:{WORKER.parents[1]}"
        call = f'exec env PYTHONPATH="{paths}" "{sys.executable}" "{WORKER}" "$@"'
        three.program.write_text(f"#!/bin/sh\n{call}\n")
        three.program.chmod(0o755)
        (directory / "patched").mkdir()
        three.environment = {
            **os.environ,
            "PATH": f"{three.program.parent}:{os.environ['PATH']}",
            "RESPIN_CACHE": str(real.checked(directory / "cache")),
            "RESPIN_TEST_MADE": str(directory / "patched"),
        }
        yield three


def ended(configuration: Path) -> dict[str, object]:
    """Return the state and the repositories that a night leaves, but for dates and ids."""
    found = config.load(configuration).nightly
    directory = found.state_directory()
    with State(directory) as state:
        runs = sorted(
            (r.target, r.architecture, r.version, r.dsc, r.ours, r.number, r.outcome, r.reason)
            for r in state.runs()
        )
        rows = [
            (r.name, r.outcome, r.version, r.ours, tuple(r.offered))
            for r in status.rows(state, found.publish.keep, 0)
        ]
        inputs = {(r.target, r.architecture): dict(r.inputs) for r in state.runs()}
    public = directory / "public"
    files = published.files(public, VERSIONS)
    return {
        "runs": runs,
        "rows": rows,
        "inputs": inputs,
        "files": {path: what for path, what in files.items() if not dated(path)},
        "signed": sorted(filter(signers, files)),
        "offered": {
            f"{name}/{path.parent.name}": offered(path)
            for name in VERSIONS
            for path in (public / name).glob("dists/*/main/*/Packages")
        },
    }


def dated(path: str) -> bool:
    """Tell whether two nights differ in a file: who signed a run, the keyring, what lists it."""
    name = Path(path).name
    return signers(path) or KEYRING in name or name.startswith("Packages")


def offered(index: Path) -> list[dict[str, str]]:
    """Return the packages in an index, except for that of the keyring, whose version is a date."""
    found = deb822.Packages.iter_paragraphs(index.read_text(), use_apt_pkg=False)
    return [dict(each) for each in found if KEYRING not in each["Package"]]


def signers(path: str) -> bool:
    """Tell whether a file is that of the statements about a run, which its worker signs."""
    return path.endswith(envelope.NAME)


def key(three: Three, configuration: Path) -> Path:
    """Make a key in the state of a configuration; return a file with its public half."""
    three.respin(configuration, "key", "init")
    home = configuration.parent / "state/gnupg"
    public = configuration.with_name("key.asc")
    done = subprocess.run(
        ["gpg", "--homedir", home, "--armor", "--export"], capture_output=True, check=True
    )
    public.write_bytes(done.stdout)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
    return public


def same_key(one: Path, other: Path) -> None:
    """Let another state have the key of one."""
    (other.parent / "state").mkdir()
    home = other.parent / "state/gnupg"
    ignore = shutil.ignore_patterns("S.*")
    shutil.copytree(one.parent / "state/gnupg", home, ignore=ignore)
    home.chmod(0o700)
