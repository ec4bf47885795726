# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The status page in a browser: on a phone and on a desk, without scripts, without colour."""

from __future__ import annotations

import html.parser
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import packages, pages, standin

from pipeline.model import Release
from pipeline.nightly import status
from pipeline.nightly.state import Need, RunRow
from pipeline.nightly.status import Failure, TargetStatus

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ROW = TargetStatus(
    target="bookworm",
    architecture="amd64",
    distro="debian",
    release="bookworm",
    pocket="security",
    version="6.1.0-3",
    ours="6.1.0-3+bpf2",
    offered=("6.1.0-3+bpf2", "6.1.0-3+bpf1"),
    outcome="fixed",
    since=SECONDS - 90000,
    next_retry=None,
    why="",
    code=0,
    needs_person=False,
    run=1,
    ours_run=1,
)
OUTCOMES = ("failed", "problem", "withdrawn", "pending", "absent", "ended", "not-needed")


class Parser(html.parser.HTMLParser):
    """Collects links and ids, and holds that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [values["href"] or ""] if "href" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page with all that can be on it; return its directory."""
    top = tmp_path_factory.mktemp("page")
    release = Release(distro="debian", codename="bookworm", version="12")
    dsc = packages.make_source(top / "made")
    directory = standin.make(top / "runs/000001", dsc, release, number=2)
    good = RunRow(
        id=1,
        target="bookworm",
        architecture="amd64",
        version="6.1.0-3",
        dsc="d",
        number=2,
        reason="new version",
        folder=directory,
        started=SECONDS - 90100,
        ended=SECONDS - 90000,
        outcome="fixed",
        ours="6.1.0-3+bpf2",
    )
    logs = top / "runs/000002.logs"
    logs.mkdir()
    (logs / "build.log").write_text("it broke\n")
    bad = replace(
        good,
        id=2,
        target="trixie",
        outcome="failed",
        ours=None,
        folder=top / "runs/000002",
        brief="iproute2 <6.15> does not build & ends",
        details="x" * 300 + "\n<script>alert(1)</script>",
    )
    older = Failure(
        version="1:6.1.0~rc1+dfsg-1ubuntu0.24.04.1",
        outcome="unknown",
        next_retry=SECONDS + 3600,
        why="bpf_map_fetch_name has a shape that is <not> known",
        code=11,
    )
    rows = [replace(ROW, older=(older,))]
    rows += [
        replace(
            ROW,
            target=f"release-{outcome}",
            outcome=outcome,
            version=None if outcome == "absent" else "1:6.15.0~rc1+dfsg-1ubuntu0.24.04.1",
            ours=None,
            offered=(),
            why="<b>it</b> broke" if outcome in ("failed", "problem") else "",
            needs_person=outcome == "failed",
            next_retry=SECONDS + 3600 if outcome == "failed" else None,
            run=2 if outcome == "failed" else None,
            ours_run=None,
        )
        for outcome in OUTCOMES
    ]
    needs = [
        Need(
            about="key",
            text=f"the signing key {'0123456789ABCDEF' * 2}01234567 expires on <soon>",
            remedy="run respin key renew",
        ),
        Need(
            about="keys debian",
            text="there are no keys",
            remedy="install them",
            waiting=("release-problem",),
        ),
    ]
    status.write(top / "public", rows, [good, bad], NOW, needs)
    return top / "public"


def test_words_and_links(page: Path) -> None:
    text = (page / "index.html").read_text("utf-8")
    parser = Parser()
    parser.feed(text)
    assert len(parser.ids) == len(set(parser.ids))
    local = [link for link in parser.links if not link.startswith("#")]
    assert any(link.endswith("respin-stt-object.patch") for link in local)
    assert "runs/000002/build.log" in local and "runs/000001/report.json" in local
    for link in local:
        assert (page / link).exists() or link == "bookworm/", link
    assert {link[1:] for link in parser.links if link.startswith("#")} <= set(parser.ids)
    people = text.partition('id="people"')[2].partition("</ul>")[0]
    assert "release-failed" in people and people.count("<li>") == 3
    assert people.count("release-problem") == 2 and '<a href="#release-problem">' in people
    assert "The signing key" in people and "&lt;soon&gt;" in people
    assert text.index("Needs attention") < text.index("Releases") < text.index("History")
    # What a source or a tool said is text, never markup.
    assert "<script" not in text and "<b>it" not in text and "&lt;script&gt;" in text
    assert "http:" not in text and "https:" not in text
    older = text.partition("older version")[2].partition("</dd>")[0]
    assert "rc1+dfsg" in older and "next retry" in older and "a shape that is &lt;not&gt;" in older
    # Without colour: every state has a word and a mark of its own.
    states = re.findall(r'<span class="mark" aria-hidden="true">(.)</span>([^<]+)</span>', text)
    words = {word for _, word in states}
    assert {"fixed", "failed", "withdrawn", "not needed", "no longer watched"} <= words
    assert (
        '<p class="answer">2 of 7 releases are fixed, or need no fix; 1 needs attention, ' in text
    )
    assert "attention, and 1 other thing does.</p>" in text
    pages.holds_both_schemes(text)


SEVEN = ("amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page of three releases, two of them for several architectures."""
    outcomes = ("fixed", "failed", "pending", "not-needed", "problem", "withdrawn", "fixed")
    rows = [replace(ROW, target="bullseye", run=None, ours_run=None)]
    for target, each in (("bookworm", SEVEN), ("trixie", SEVEN[:2])):
        rows += [
            replace(
                ROW,
                target=target,
                architecture=architecture,
                several=True,
                outcome=outcome,
                ours="1:6.15.0~rc1+dfsg-1ubuntu0.24.04.1+bpf1" if outcome == "fixed" else None,
                why="it broke" if outcome == "failed" else "",
                needs_person=outcome == "failed",
                run=None,
                ours_run=None,
            )
            for architecture, outcome in zip(each, outcomes, strict=False)
        ]
    top = tmp_path_factory.mktemp("matrix")
    run = RunRow(
        id=1,
        target="trixie",
        architecture="arm64",
        version="6.1.0-3",
        dsc="d",
        number=1,
        reason="new version",
        folder=top / "nowhere",
        started=SECONDS,
        outcome="failed",
    )
    status.write(top, rows, [run], NOW)
    return top


def test_a_matrix_of_releases_and_architectures(matrix: Path) -> None:
    text = (matrix / "index.html").read_text("utf-8")
    parser = Parser()
    parser.feed(text)
    assert len(parser.ids) == len(set(parser.ids))
    assert {"bullseye", "bookworm:s390x", "trixie:arm64"} <= set(parser.ids)
    local = {link[1:].replace("%3A", ":") for link in parser.links if link.startswith("#")}
    assert local <= set(parser.ids)
    table = text.partition('<table class="matrix">')[2].partition("</table>")[0]
    lines = [re.sub(r"<[^>]+>", " ", row).split() for row in table.split("<tr>")[1:]]
    assert lines[0] == ["release", *SEVEN]
    # In the order in which they are watched; an architecture that a release lacks is empty.
    assert [line[0] for line in lines[1:]] == ["bullseye", "bookworm", "trixie"]
    assert table.count("<td>") == 3 * len(SEVEN) and table.count("<td></td>") == 6 + 5
    ours = "1:6.15.0~rc1+dfsg-1ubuntu0.24.04.1+bpf1"
    assert lines[3] == ["trixie", "✓", "fixed", ours, "✕", "failed"]
    assert "<strong>trixie arm64</strong>" in text
    assert "packages of 3 releases are fixed, or need no fix; 2 need attention." in text
    pages.holds_both_schemes(text)


def test_one_architecture_has_no_matrix(page: Path) -> None:
    assert 'class="matrix"' not in (page / "index.html").read_text("utf-8")


def test_nothing_watched_yet(tmp_path: Path) -> None:
    status.write(tmp_path, [], [], NOW)
    text = (tmp_path / "index.html").read_text("utf-8")
    Parser().feed(text)
    assert "Nothing needs attention." in text and "No release is watched yet." in text


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_in_a_browser(page: Path, width: int) -> None:
    """Nothing is wider than the screen, nothing too small to read, nothing fetched or run."""
    pages.fits(page / "index.html", width, text="dd")


@pytest.mark.needs("chromium")
def test_the_matrix_on_a_phone(matrix: Path) -> None:
    pages.fits(matrix / "index.html", 390, text="dd")
