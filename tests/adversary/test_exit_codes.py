# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin's exit code never reports success after an error.

A timer, a CI job and a script know nothing else of a run. The fault: something goes wrong, and
the process ends with a status other than the one that --help gives for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import cli, nights
from support.archive import Signer
from support.nights import Distro
from support.packages import make_source

from pipeline import errors
from pipeline.cli.main import cli as respin
from pipeline.config.nightly import Publishing
from pipeline.publish import keys

GOLDEN = Path(__file__).parents[1] / "golden/fixes"
DRIVER = Path(cli.__file__).with_name("everyexit.py")

COMMANDS = {
    "run": ("", "pipeline.run.run"),
    "fetch": ("", "pipeline.runs.single_stage.fetch_only"),
    "patch": ("", "pipeline.runs.single_stage.patch_only"),
    "build": ("/", "pipeline.runs.single_stage.build_only"),
    "prove": ("/", "pipeline.runs.single_stage.prove_only"),
    "tc": ("/", "pipeline.runs.unpacked.of_run"),
    "diagnose": ("--tree /", "pipeline.runs.single_stage.diagnose_only"),
    "smoke": ("--deb /etc/hostname", "pipeline.smoke.standalone.measure"),
    "object": ("/etc/hostname", "pipeline.smoke.object_report.examine"),
    "verify": ("/", "pipeline.publish.trust.trusted"),
    "releases": ("", "pipeline.cli.catalogue.listing"),
    "doctor": ("", "pipeline.cli.doctor.examine"),
    "completion": ("bash", "click.shell_completion.get_completion_class"),
    "nightly": ("", "pipeline.nightly.night.nightly"),
    "status": ("", "pipeline.cli.state.State"),
    "history": ("", "pipeline.cli.state.State"),
    "retry": ("", "pipeline.nightly.admin.retry"),
    "forget": ("bookworm", "pipeline.nightly.admin.forget"),
    "withdraw": ("bookworm 1-1+bpf1 --why bad", "pipeline.nightly.admin.withdraw"),
    "publish": ("/", "pipeline.nightly.admin.publish"),
    "key init": ("", "pipeline.publish.keys.init"),
    "key renew": ("", "pipeline.nightly.key_change.renew"),
    "key rotate": ("", "pipeline.nightly.key_change.rotate"),
    "init systemd": ("--program /respin", "pipeline.cli.schedule.systemd"),
    "init cron": ("--program /respin", "pipeline.cli.schedule.cron"),
    "init kubernetes": ("--image respin", "pipeline.cli.engines.texts"),
    "init github": (
        "--repository https://git.example.org --ref main",
        "pipeline.cli.engines.texts",
    ),
    "init gitlab": (
        "--repository https://git.example.org --ref main --image x",
        "pipeline.cli.engines.texts",
    ),
    "init buildbot": ("--worker one=amd64 --config /x", "pipeline.cli.engines.texts"),
}
"""Every command -> its arguments, and the function that does its work."""

ENDS = {kind.__name__: kind.exit_code for kind in errors.tree()}
ENDS |= {"ZeroDivisionError": 1, "MemoryError": 2, "KeyboardInterrupt": 130, "BrokenPipeError": 141}


def names(group: object = respin, before: Sequence[str] = ()) -> Iterator[str]:
    """Yield every command that respin has."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield " ".join(before)
    for name, command in (inner or {}).items():
        yield from names(command, (*before, name))


@pytest.mark.fault
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_an_error_that_ends_as_success(step: int, count: Callable[[str, int], None]) -> None:
    """Each command, each error of pipeline/errors.py, a bug, and a stop: in real processes.

    In make test, each error ends every fourth command.
    """
    assert set(names()) == set(COMMANDS)
    rows, want = [], []
    for first, (command, (args, place)) in enumerate(COMMANDS.items()):
        for how, code in list(ENDS.items())[first % step :: step]:
            rows.append(([*command.split(), *args.split()], place, how))
            want.append(code)
    # A night ends by itself, and says what went wrong in it.
    for code in (0, *range(10, 19)):
        rows.append((["nightly"], COMMANDS["nightly"][1], str(code)))
        want.append(code)
    path = os.pathsep.join([str(cli.CHECKOUT), str(cli.CHECKOUT / "tests")])
    done = subprocess.run(
        [sys.executable, DRIVER],
        input=json.dumps(rows),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    got = json.loads(done.stdout)
    assert [(r, w, g) for r, w, g in zip(rows, want, got, strict=True) if w != g] == []
    count("fault", len(rows))


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A release that `respin nightly` watches, as a process of its own."""

    directory: Path
    distro: Distro

    def has(self, golden: str, version: str) -> None:
        """Let the release have the source of a golden case."""
        tree = GOLDEN / golden / "in"
        files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
        self.distro.now_has(make_source(self.directory / version, version=version, files=files))

    def night(self) -> int:
        """Call respin nightly; return how its process ended."""
        done = cli.respin(
            *("nightly", "--config", self.directory / "respin.toml"), cache=self.directory / "cache"
        )
        assert "Traceback" not in done.err, done.err
        assert done.status == 0 or done.err, done.out
        return done.status


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Signer("distro") as signer, Distro(tmp_path, signer, "bookworm") as distro:
        text = nights.TOML.format(releases='["bookworm"]', notifications=tmp_path / "letters")
        text += nights.RELEASE.format(name="bookworm", url=distro.url, keyring=distro.trusted)
        (tmp_path / "respin.toml").write_text(text)
        yield Watched(directory=tmp_path, distro=distro)


@pytest.mark.needs("aptly")
@pytest.mark.fault
def test_a_night_in_which_a_release_failed(
    watched: Watched, count: Callable[[str, int], None]
) -> None:
    """For real: no key, well, not understood, waiting, no archive, no repository, two at once."""
    watched.has("v4.20-fixed", "4.20.0-1")
    assert watched.night() == 2  # there is no key
    state = watched.directory / "state"
    keys.init(state, Publishing.origin)
    assert watched.night() == 0
    watched.has("unknown-second-test", "4.20.0-2")
    assert watched.night() == 11
    assert watched.night() == 0  # it waits for its next try: nothing went wrong tonight
    link = state / "public/bookworm"
    target = link.readlink()
    link.unlink()
    link.write_text("not ours")
    assert watched.night() == 17
    link.unlink()
    link.symlink_to(target)
    watched.distro.corrupt("InRelease", "remove")
    assert watched.night() == 10
    watched.distro.again()
    with (state / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert watched.night() == 18
    assert watched.night() == 0
    count("fault", 5)
