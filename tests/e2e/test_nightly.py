# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fourteen nights of three releases, with the repository, the page and the history after each."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from support import nights, packages, real, smallpackage
from support.archive import Signer
from support.client import Client
from support.nights import Distro, Nights

from pipeline.fixes import fixes
from pipeline.nightly import admin, plan, toolchain
from pipeline.nightly.night import Summary
from pipeline.releases import releases
from pipeline.runs.report import Report
from pipeline.runs.request import Request

pytestmark = pytest.mark.needs("aptly")

REAL = "6.1.0-3"
OURS = f"{REAL}+bpf1"
SECURITY = "6.1.0-3+deb12u1"


def run(request: Request, out: Path) -> Report:
    """Run the real package by the real pipeline; others small."""
    return (nights.run_real if request.version == REAL else smallpackage.run)(request, out)


class Play:
    """The archives, a client, and what they do before each night."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.signer = stack.enter_context(Signer("distro"))
        self.other = stack.enter_context(Signer("other"))
        self.distros = {
            name: stack.enter_context(Distro(directory, self.signer, name))
            for name in ("bullseye", "bookworm", "trixie")
        }
        self.stack = stack
        self.nights = nights.begin(
            directory, list(self.distros.values()), real.cache(), run, known=()
        )
        start, day = self.nights.now, timedelta(days=1)
        known = (
            nights.known("bullseye", start - 900 * day, start + 9 * day),
            nights.known("bookworm", start - 300 * day, start + 900 * day),
            nights.known("trixie", start + 5 * day, None),
        )
        self.nights.world = dataclasses.replace(self.nights.world, known=known)

    def source(self, version: str, functions: str = smallpackage.VULNERABLE) -> Path:
        """Return a source of the small package."""
        return smallpackage.make(self.directory / "made" / version, version, functions)

    def client(self) -> Client:
        """Return a machine that runs bookworm."""
        distro = self.distros["bookworm"]
        public = self.nights.world.public
        return self.stack.enter_context(Client(distro.root, distro.trusted, public, "bookworm"))

    def distro_deb(self, version: str, pocket: str) -> None:
        """Let bookworm have a binary package."""
        directory = self.directory / "debs"
        directory.mkdir(exist_ok=True)
        deb = packages.make_deb(directory, "iproute2", version, architecture="amd64")
        self.distros["bookworm"].add_deb(deb, suite=f"bookworm{pocket}")

    def check(self, done: Summary, code: int, **rows: tuple[str, str, list[str]]) -> None:
        """Hold the state, the repositories and the page against what they have to be.

        ``rows``: target -> outcome, the distro's version, what is offered.
        """
        assert done.code == code, (done, [r.details for r in done.runs])
        there = self.nights.rows()
        found = {n: (r.outcome, r.version, list(r.offered)) for n, r in there.items()}
        assert found == rows
        page = self.nights.page()
        for name, (_, version, offered) in rows.items():
            if (self.nights.world.public / name).exists():
                assert sorted(self.nights.offered(name)) == sorted(offered)
            card = page.partition(f'id="{name}"')[2].partition("</article>")[0]
            assert all(f'<span class="v">{v}</span>' in card for v in [version, *offered])
        for published in self.nights.runs():
            if published.published and published.folder.exists():
                assert (published.folder / "report.json").exists()


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with ExitStack() as stack:
        yield Play(tmp_path, stack)


def test_fourteen_nights(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    bullseye, bookworm, trixie = play.distros.values()
    n: Nights = play.nights

    # 1: the real 6.1.0-3, and a release that needs nothing.
    bookworm.now_has(real.dsc())
    bullseye.now_has(play.source("5.10.0-4", smallpackage.FIXED))
    done = n.night()
    old = ("not-needed", "5.10.0-4", list[str]())
    play.check(done, 0, bullseye=old, bookworm=("fixed", REAL, [OURS]))
    assert [(r.target, r.reason) for r in n.runs()] == [
        ("bullseye", "new version"),
        ("bookworm", "new version"),
    ]
    # bullseye ends in nine days, which needs a person.
    assert n.events() == [("new-package", "bookworm"), ("needs-person", None)]
    assert [need.about for need in done.needs] == ["release bullseye"]
    client = play.client()
    assert client.version() == REAL
    client.subscribe(key=False)
    refused = client.call("apt-get", "update", "--error-on=any", check=False)
    assert refused.status != 0 and b"NO_PUBKEY" in refused.stderr
    client.subscribe()
    assert client.upgrade() == OURS
    assert client.call("tc", "-V").text.startswith("tc utility")

    # 2: nothing is new, and nothing but "not modified" is sent.
    for distro in (bullseye, bookworm):
        distro.answers.clear()
    play.check(n.night(), 0, bullseye=old, bookworm=("fixed", REAL, [OURS]))
    answers = bullseye.answers + bookworm.answers
    assert [status for status, _ in answers] == [304] * 6
    assert len(n.runs()) == 2 and n.events() == []

    # 3: a security update, which the client takes before ours is rebuilt; and a source in a
    # shape that is not known, which holds up nobody.
    play.distro_deb(SECURITY, "-security")
    bookworm.now_has(play.source(SECURITY), pocket="-security")
    assert client.upgrade() == SECURITY
    bullseye.now_has(play.source("5.10.1-1", smallpackage.STRANGE))
    done = n.night()
    newer = [f"{SECURITY}+bpf1", OURS]
    unknown = ("unknown", "5.10.1-1", list[str]())
    play.check(done, 11, bullseye=unknown, bookworm=("fixed", SECURITY, newer))
    assert n.events() == [("failure", "bullseye"), ("new-package", "bookworm")]
    assert n.rows()["bookworm"].pocket == "security"
    assert client.upgrade() == f"{SECURITY}+bpf1"
    said = client.call("tc", stdin=smallpackage.OBJECT.encode())
    assert said.text == smallpackage.LOADS

    # 4: it is tried again, and not told again.
    done = n.night()
    play.check(done, 11, bullseye=unknown, bookworm=("fixed", SECURITY, newer))
    assert [r.reason for r in done.runs] == ["retry"]
    assert n.events() == [] and n.rows()["bullseye"].needs_person

    # 5: a release appears.
    trixie.now_has(play.source("6.15.0-1"))
    done = n.night()
    young = ("fixed", "6.15.0-1", ["6.15.0-1+bpf1"])
    both = {"bookworm": ("fixed", SECURITY, newer)}
    play.check(done, 11, bullseye=unknown, trixie=young, **both)
    assert n.events() == [("new-package", "trixie")]

    # 6: what was not known is replaced.
    bullseye.now_has(play.source("5.10.2-1"))
    done = n.night()
    old = ("fixed", "5.10.2-1", ["5.10.2-1+bpf1"])
    play.check(done, 0, bullseye=old, trixie=young, **both)
    assert n.events() == [("recovery", "bullseye"), ("new-package", "bullseye")]

    # 7: a mirror in the middle of its update, while another release moves on, by two versions.
    after = play.source("6.1.0-3+deb12u2", smallpackage.FIXED)
    sources = bookworm.root / "dists/bookworm-security/main/source"
    before = {p: p.read_bytes() for p in sources.iterdir()}
    bookworm.now_has(after, pocket="-security")
    late = {p: p.read_bytes() for p in sources.iterdir()}
    for path, data in before.items():
        path.write_bytes(data)
    trixie.now_has(play.source("6.15.0-2"), play.source("6.15.0-1.1"))
    done = n.night()
    halfway = {"bookworm": ("problem", SECURITY, newer)}
    second = ("fixed", "6.15.0-2", [f"6.15.0-{v}+bpf1" for v in ("2", "1.1", "1")])
    play.check(done, 10, bullseye=old, trixie=second, **halfway)
    assert [r.version for r in done.runs] == ["6.15.0-1.1", "6.15.0-2"]
    assert n.events() == [("failure", "bookworm"), ("new-package", "trixie")]

    # 8: the mirror is whole; what it has needs no fix, and the client moves to it.
    for path, data in late.items():
        path.write_bytes(data)
    play.distro_deb("6.1.0-3+deb12u2", "-security")
    bookworm.again()
    done = n.night()
    both = {"bookworm": ("not-needed", "6.1.0-3+deb12u2", newer)}
    play.check(done, 0, bullseye=old, trixie=second, **both)
    assert n.events() == [("recovery", "bookworm")]
    assert client.upgrade() == "6.1.0-3+deb12u2"

    # 9: the distro withdraws a version.
    trixie.now_has(play.directory / "made/6.15.0-1/iproute2_6.15.0-1.dsc")
    done = n.night()
    play.check(done, 0, bullseye=old, trixie=young, **both)
    assert done.runs == () and n.events() == [("new-package", "trixie")]

    # 10: a release comes to its end, and an index expires.
    bookworm.again(until=n.now + timedelta(hours=12))
    done = n.night()
    ended = ("ended", "5.10.2-1", ["5.10.2-1+bpf1"])
    halfway = {"bookworm": ("problem", "6.1.0-3+deb12u2", newer)}
    play.check(done, 10, bullseye=ended, trixie=young, **halfway)
    assert sorted(n.events()) == [("ended", "bullseye"), ("failure", "bookworm")]

    # 11: that is mended; another archive is signed by a key that nobody knows.
    bookworm.again()
    trixie.again(signer=play.other)
    done = n.night()
    halfway = {"trixie": ("problem", "6.15.0-1", ["6.15.0-1+bpf1"])}
    play.check(done, 10, bullseye=ended, **both, **halfway)
    assert n.events() == [("recovery", "bookworm"), ("failure", "trixie")]
    assert "not signed by a key" in n.page()

    # 12: the new key is installed; and a point release takes up the security update.
    bookworm.now_has(after)
    trixie.trusted.write_bytes(play.other.keyring.read_bytes())
    done = n.night()
    play.check(done, 0, bullseye=ended, trixie=young, **both)
    assert done.runs == () and n.events() == [("recovery", "trixie")]

    # 13: a person withdraws what we made of it; the night leaves it so.
    assert admin.withdraw(n.world, "trixie", "6.15.0-1+bpf1", "it is bad") == ""
    assert n.events() == [("withdrawn", "trixie")]
    done = n.night()
    play.check(done, 0, bullseye=ended, trixie=("withdrawn", "6.15.0-1", []), **both)
    assert done.runs == () and "it is bad" in n.page()

    # 14: a fix is edited, which touches nothing; and then the pipeline builds otherwise.
    edited = [
        shutil.copytree(f.directory, play.directory / "fixes" / f.name) for f in n.world.fixes
    ]
    with (edited[1] / "fix.cocci").open("a") as f:
        f.write("// a comment\n")
    done = n.night(fixes=tuple(fixes.load(directory) for directory in edited))
    play.check(done, 0, bullseye=ended, trixie=("withdrawn", "6.15.0-1", []), **both)
    assert {r.outcome for r in done.runs} <= {"same", "not-needed"}
    monkeypatch.setattr(plan, "BUILDS", "2")
    done = n.night(0)
    again = ("fixed", "6.15.0-1", ["6.15.0-1+bpf2"])
    play.check(done, 0, bullseye=ended, trixie=again, **both)
    assert {(r.target, r.reason) for r in done.runs} == {
        ("bookworm", "this version of respin builds it differently"),
        ("trixie", "this version of respin builds it differently"),
    }
    assert n.events() == [("new-package", "trixie")]


def test_the_toolchain_is_known_again() -> None:
    """What a root holds, and what it would hold now, have one digest: nothing is rebuilt."""
    release = releases.find("bookworm")
    request = Request(release=release, fixes=(), cache=real.cache())
    root = [dataclasses.asdict(package) for package in real.root().packages]
    assert toolchain.now(request, real.dsc()) == toolchain.key(root)
    assert toolchain.key(root) != toolchain.key(root[1:])
