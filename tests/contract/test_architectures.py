# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""One repository for several architectures: what a night makes of them, and what apt takes.

The runs are stand-ins: their packages have the right architecture and no compiled code.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from debian import deb822
from support import cli, nights, onerelease, packages, sealed, standin
from support.aptclient import AptClient, configured, served
from support.archive import Signer
from support.nights import Distro, Nights

from pipeline.archives import host_apt
from pipeline.errors import PublishError, UsageError
from pipeline.host.cache import Cache
from pipeline.nightly import admin, status
from pipeline.nightly.state import FIXED, State
from pipeline.publish import keys
from pipeline.releases import releases

pytestmark = pytest.mark.needs("aptly")

FOREIGN = "arm64"
UPDATE = ("apt-get", "update", "--error-on=any", "-o", "quiet=0")
"""Without the last, apt-get shows no notice where its output is no terminal."""
MORE = f"""
[release.trixie]
architectures = ["amd64", "{FOREIGN}"]
base = "trixie"
"""


@dataclass(kw_only=True)
class Two:
    """Two releases, each for two architectures."""

    directory: Path
    distros: dict[str, Distro]
    nights: Nights
    behind: set[tuple[str, str]]
    """Releases and architectures for which the archive has no package yet."""

    def prepare(self, release: str, version: str, *architectures: str) -> None:
        """Let the runs of a version for these architectures succeed."""
        for architecture in architectures:
            foreign = f"_{architecture}" if architecture != "amd64" else ""
            directory = self.directory / f"prepared/{release}_{version}{foreign}"
            doc = architecture == "amd64"
            self.directory_of(directory, release, version, architecture, doc=doc)

    def directory_of(
        self, directory: Path, release: str, version: str, architecture: str, *, doc: bool = False
    ) -> Path:
        """Make the directory of a run, with a package of the architecture ``all`` or without."""
        return standin.make(
            directory,
            self.dsc(release, version),
            releases.find(release, config=self.nights.world.config),
            architecture=architecture,
            doc=doc,
        )

    def dsc(self, release: str, version: str) -> Path:
        """Return the source of a version, which is made first."""
        made = self.directory / f"made/{release}-{version}"
        path = made / f"iproute2_{version}.dsc"
        return path if path.exists() else packages.make_source(made, version=version)

    def has(self, release: str, version: str, *architectures: str) -> None:
        """Let a release have a version, which these architectures can build."""
        self.distros[release].now_has(self.dsc(release, version))
        self.prepare(release, version, *architectures)

    def listed(self, release: str, architecture: str) -> dict[str, str]:
        """Return what an index lists: package and version, and where that is in the pool."""
        lists = self.nights.world.public / release / f"dists/{release}/main"
        text = (lists / f"binary-{architecture}/Packages").read_text()
        found = deb822.Packages.iter_paragraphs(text, use_apt_pkg=False)
        ours = (p for p in found if p["Package"].startswith("iproute2") and "key" not in str(p))
        return {f"{p['Package']} {p['Version']}": p["Filename"] for p in ours}

    def only(self, release: str) -> None:
        """Watch one release only."""
        world = self.nights.world
        settings = replace(world.settings, releases=(release,))
        self.nights.world = replace(world, config=replace(world.config, nightly=settings))

    def respin(self, *args: str) -> cli.Said:
        """Call respin with this state."""
        return onerelease.respin(
            self.directory / "respin.toml", self.nights.world.cache.root, *args
        )

    def stands(self) -> dict[str, tuple[str, str | None]]:
        """Return the outcome, and what is offered, of each release and architecture."""
        with State(self.nights.world.directory) as state:
            found = status.rows(state, 3, self.nights.world.now())
        return {row.name: (row.outcome, row.ours) for row in found}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Yield two releases before their first night; one has its architectures from [nightly]."""
    assert host_apt.architecture() == "amd64"
    with contextlib.ExitStack() as stack:
        signer = stack.enter_context(Signer("distro"))
        names = ("bookworm", "trixie")
        made = {n: stack.enter_context(Distro(tmp_path, signer, n)) for n in names}
        behind: set[tuple[str, str]] = set()
        played = nights.begin(
            tmp_path,
            list(made.values()),
            Cache(tmp_path / "cache"),
            standin.runner(tmp_path / "prepared"),  # type: ignore[arg-type]
            releases=names,
            patch=standin.patcher(tmp_path / "prepared"),
            lacks=lambda request: (request.release.codename, request.target) in behind,
        )
        settings = replace(played.world.settings, architectures=("amd64", FOREIGN))
        config = replace(played.world.config, nightly=settings)
        played.world = replace(played.world, config=config)
        yield Two(directory=tmp_path, distros=made, nights=played, behind=behind)


def client(two: Two, directory: Path, uri: str, release: str, *options: str) -> AptClient:
    """Return a machine with the repository's own files, and these options in its apt.conf."""
    world = two.nights.world
    return configured(directory, world.public, world.settings.publish.url, uri, release, *options)


def test_two_releases_for_two_architectures(two: Two, tmp_path: Path) -> None:
    both = ("amd64", FOREIGN)
    two.has("bookworm", "6.1.0-3", *both)
    two.has("trixie", "6.15.0-1", *both)
    done = two.nights.night()
    assert done.code == 0, [r.details for r in done.runs]
    assert [(r.target, r.architecture, r.ours) for r in done.runs] == [
        (name, architecture, version)
        for name, version in (("bookworm", "6.1.0-3+bpf1"), ("trixie", "6.15.0-1+bpf1"))
        for architecture in both
    ]
    assert len({r.folder for r in done.runs}) == 4
    public = two.nights.world.public
    for name, version in (("bookworm", "6.1.0-3+bpf1"), ("trixie", "6.15.0-1+bpf1")):
        release = deb822.Release((public / name / f"dists/{name}/Release").read_text())
        assert release["Architectures"].split() == [*both]
        lists = {a: two.listed(name, a) for a in both}
        wanted = {f"iproute2 {version}", f"iproute2-doc {version}"}
        assert all(set(found) == wanted for found in lists.values())
        assert len({found[f"iproute2 {version}"] for found in lists.values()}) == 2
        # One file for all of them, and one source.
        assert len({found[f"iproute2-doc {version}"] for found in lists.values()}) == 1
        assert len(list((public / name).rglob(f"pool/**/iproute2_{version}.dsc"))) == 1
    with served(public) as uri:
        for name, version in (("bookworm", "6.1.0-3+bpf1"), ("trixie", "6.15.0-1+bpf1")):
            for architecture in both:
                directory = tmp_path / f"client-{name}-{architecture}"
                option = f'APT::Architecture "{architecture}";'
                machine = client(two, directory, uri, name, option)
                code, said = machine.apt(*UPDATE)
                assert code == 0 and "\nN: " not in said, said
                assert machine.candidate() == version
                deb = machine.download()
                asked = ["dpkg-deb", "--field", str(deb), "Architecture"]
                text = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
                assert text.strip() == architecture
                _, said = machine.apt("apt-cache", "show", "iproute2-doc")
                assert "Architecture: all" in said
        no_notice(client(two, tmp_path / "second", uri, "bookworm", SECOND), tmp_path / "second")


SECOND = 'APT::Architectures { "amd64"; "i386"; };'


def no_notice(machine: AptClient, directory: Path) -> None:
    """Check that a machine with a second architecture reads no notice about it."""
    code, said = machine.apt(*UPDATE)
    assert code == 0 and "i386" not in said and "N: " not in said, said
    # It has the index of arm64, too, and takes nothing from it: the preferences name no arm64.
    _, said = machine.apt("apt-cache", "policy", f"iproute2:{FOREIGN}")
    assert "Candidate: (none)" in said and "6.1.0-3+bpf1" in said, said
    # Without the line in the file there would be one.
    path = directory / "etc/apt/sources.list.d/ours.sources"
    lines = [x for x in path.read_text().splitlines(True) if "Architectures" not in x]
    path.write_text("".join(lines))
    _, said = machine.apt(*UPDATE)
    assert "doesn't support architecture 'i386'" in said, said


def test_a_port_lags_behind(two: Two) -> None:
    """It waits, which is no failure, and is run in the first night that finds its package."""
    two.has("bookworm", "6.1.0-3", "amd64")
    two.has("trixie", "6.15.0-1", "amd64", FOREIGN)
    two.behind.add(("bookworm", FOREIGN))
    done = two.nights.night()
    assert done.code == 0 and len(done.runs) == 3
    assert two.stands()[f"bookworm {FOREIGN}"] == ("waiting", None)
    assert two.stands()[f"trixie {FOREIGN}"][0] == "fixed"
    assert {event for event, _ in two.nights.events()} == {"new-package"}
    (row,) = [r for r in done.rows if r.name == f"bookworm {FOREIGN}"]
    assert row.why == f"the archive does not have the package for {FOREIGN} yet"
    assert (row.code, row.next_retry, row.needs_person) == (0, None, False)
    assert "port lags behind" in two.nights.page()
    assert f"bookworm {FOREIGN}" in two.respin("status").out
    # Another night adds nothing, not even to the history.
    history = two.nights.runs()
    assert two.nights.night().runs == () and two.nights.runs() == history
    two.behind.clear()
    two.prepare("bookworm", "6.1.0-3", FOREIGN)
    done = two.nights.night()
    assert [(r.architecture, r.reason, r.ours) for r in done.runs] == [
        (FOREIGN, "new version", "6.1.0-3+bpf1")
    ]
    assert two.nights.events() == [("new-package", "bookworm")]
    # A request stays until it can be met.
    two.behind.add(("bookworm", FOREIGN))
    assert two.respin("retry", "bookworm").status == 0
    assert [r.architecture for r in two.nights.night().runs] == ["amd64"]
    two.behind.clear()
    assert [(r.architecture, r.reason) for r in two.nights.night().runs] == [(FOREIGN, "asked for")]


def test_one_architecture_fails(two: Two) -> None:
    two.only("bookworm")
    two.has("bookworm", "6.1.0-3", "amd64")
    done = two.nights.night()
    assert done.code == 11
    assert two.stands() == {
        "bookworm amd64": ("fixed", "6.1.0-3+bpf1"),
        f"bookworm {FOREIGN}": ("unknown", None),
    }
    assert sorted(two.nights.events()) == [("failure", "bookworm"), ("new-package", "bookworm")]
    # What the commands show names the architecture.
    said = two.respin("status").out
    assert "bookworm amd64" in said and f"bookworm {FOREIGN} needs attention" in said
    lines = [line.split() for line in two.respin("history").out.splitlines()]
    assert [line[2:4] for line in lines[1:]] == [["bookworm", a] for a in ("amd64", FOREIGN)]
    rows = json.loads(two.respin("status", "--json").out)["targets"]
    assert [(r["architecture"], r["outcome"]) for r in rows] == [
        ("amd64", "fixed"),
        (FOREIGN, "unknown"),
    ]
    assert all("several" not in row for row in rows)
    # The index of the one that fails is there, with what is for all, and nothing else.
    assert list(two.listed("bookworm", FOREIGN)) == ["iproute2-doc 6.1.0-3+bpf1"]
    # It is made good: only this one is run, with the number of the source that is there.
    two.prepare("bookworm", "6.1.0-3", FOREIGN)
    done = two.nights.night()
    assert [(r.target, r.architecture, r.reason, r.ours) for r in done.runs] == [
        ("bookworm", FOREIGN, "retry", "6.1.0-3+bpf1")
    ]
    assert done.code == 0 and done.published == ("bookworm",)
    assert sorted(two.nights.events()) == [("new-package", "bookworm"), ("recovery", "bookworm")]
    assert two.nights.night().runs == ()
    # The next version is out for one of them: the other keeps what it has.
    two.has("bookworm", "6.1.0-4", FOREIGN)
    two.nights.night()
    assert two.stands()["bookworm amd64"] == ("unknown", "6.1.0-3+bpf1")
    assert "iproute2 6.1.0-4+bpf1" in two.listed("bookworm", FOREIGN)
    assert "iproute2 6.1.0-4+bpf1" not in two.listed("bookworm", "amd64")
    # Somebody withdraws it, for all.
    now = admin.withdraw(two.nights.world, "bookworm", "6.1.0-4+bpf1", "it is bad")
    assert now == "6.1.0-3+bpf1"
    two.prepare("bookworm", "6.1.0-4", "amd64")
    assert two.nights.night().runs == ()
    assert {two.stands()[f"bookworm {a}"][0] for a in ("amd64", FOREIGN)} == {
        "unknown",
        "withdrawn",
    }
    assert "6.1.0-4+bpf1" not in str(two.listed("bookworm", FOREIGN))


def test_of_two_files_of_one_name_the_first_stays(two: Two) -> None:
    two.has("bookworm", "6.1.0-3", "amd64", FOREIGN)
    two.has("trixie", "6.15.0-1", "amd64", FOREIGN)
    assert two.nights.night().code == 0
    # arm64's run has a source that is not amd64's: another time in its tarball.
    two.has("bookworm", "6.1.0-4", "amd64", FOREIGN)
    other = two.directory / f"prepared/bookworm_6.1.0-4_{FOREIGN}"
    (two.directory / "elsewhere").mkdir()
    other.rename(two.directory / "elsewhere/run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(packages.ENVIRONMENT, "SOURCE_DATE_EPOCH", "1600000000")
        two.prepare("bookworm", "6.1.0-4", FOREIGN)
    done = two.nights.night()
    assert done.code == 17
    (row,) = [r for r in done.rows if r.name == "bookworm amd64"]
    assert row.outcome == "problem" and row.why.startswith("two runs made a different iproute2_")
    # The other one is offered, and so is what the first had before.
    assert done.published == ("bookworm",) and two.stands()["trixie amd64"][0] == "fixed"
    assert "iproute2 6.1.0-4+bpf1" in two.listed("bookworm", "amd64")
    assert "iproute2 6.1.0-4+bpf1" not in two.listed("bookworm", FOREIGN)
    assert "iproute2 6.1.0-3+bpf1" in two.listed("bookworm", FOREIGN)
    with State(two.nights.world.directory) as state:
        runs = {r.architecture: r for r in state.runs("bookworm") if r.version == "6.1.0-4"}
    assert runs["amd64"].published and not runs[FOREIGN].published
    # The notification about the release is one.
    assert two.nights.events().count(("failure", "bookworm")) == 1


def test_publishing_runs_of_several_architectures_by_hand(two: Two) -> None:
    two.only("bookworm")
    two.has("bookworm", "6.1.0-3")
    two.nights.night()
    # What this respin makes of the source, which a given run is compared with.
    two.prepare("bookworm", "6.1.0-3", "amd64")
    given = [
        two.directory_of(two.directory / f"given/{a}", "bookworm", "6.1.0-3", a)
        for a in ("amd64", FOREIGN)
    ]
    world = two.nights.world
    for directory in given:
        sealed.seal(directory, keys.find(world.directory, world.settings.publish))
    done = tuple(admin.publish(world, given))
    assert done == (("bookworm", "6.1.0-3+bpf1"),) * 2
    for architecture in ("amd64", FOREIGN):
        assert "iproute2 6.1.0-3+bpf1" in two.listed("bookworm", architecture)
    with pytest.raises(PublishError, match=r"has offered 6.1.0-3\+bpf1 before"):
        tuple(admin.publish(two.nights.world, given[1:]))


def test_a_state_of_one_architecture_is_still_good(tmp_path: Path) -> None:
    """Its runs are this machine's, and nothing is asked for or numbered anew."""
    schema = (Path(nights.__file__).with_name("state-2.sql")).read_text()
    path = tmp_path / "state.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(f"{schema} PRAGMA user_version=2;")
        for name, asked in (("bookworm", 1), ("trixie", 0)):
            old.execute(
                "INSERT INTO targets (name, distro, codename, version, dsc, pocket, versions,"
                " since, asked) VALUES (?, 'debian', ?, '1-1', 'd', 'release', '[\"1-1\"]', 5, ?)",
                (name, name, asked),
            )
        old.execute(
            "INSERT INTO runs (target, version, dsc, number, reason, inputs, folder, started,"
            " outcome, ours) VALUES ('bookworm', '1-1', 'd', 2, 'new version', '{}', '/x', 5,"
            " 'fixed', '1-1+bpf2')"
        )
        old.execute("INSERT INTO numbers VALUES ('bookworm', '1-1', 3)")
        old.commit()
    with pytest.raises(UsageError, match="older version of respin"):
        State(tmp_path, read_only=True)
    native = host_apt.architecture()
    with State(tmp_path, create=True) as state:
        targets = state.targets()
        assert {t.architectures for t in targets.values()} == {(native,)}
        assert {t.name: t.asked for t in targets.values()} == {"bookworm": (native,), "trixie": ()}
        (run,) = state.runs()
        assert (run.architecture, run.outcome, run.ours) == (native, FIXED, "1-1+bpf2")
        assert state.highest_numbers("bookworm", "1-1") == {native: 3}
        state.save_target(targets["trixie"])
        begun = state.begin_run(replace(run, target="trixie", architecture=FOREIGN))
        assert begun.architecture == FOREIGN
    with State(tmp_path / "new", create=True):
        pass
    assert columns(path) == columns(tmp_path / "new/state.sqlite")


def columns(path: Path) -> set[tuple[str, str, str, int]]:
    """Return table, name, type and whether it may be NULL, of each column of a database."""
    with contextlib.closing(sqlite3.connect(path)) as opened:
        names = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE sql != ''")]
        return {
            (name, row[1], row[2], row[3])
            for name in names
            for row in opened.execute(f"PRAGMA table_info({name})")
        }
