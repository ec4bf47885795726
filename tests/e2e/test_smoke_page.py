# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of the smoke matrix in a browser: on a phone and on a desk, in both schemes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import pages

from pipeline.model import CaseResult, Cell, Expect, Seen, SmokeReport
from pipeline.smoke import render


def cell(seen: Seen, *, ok: bool = True) -> Cell:
    return Cell(
        expected=Expect.LOADS,
        reason="not possible here: this needs CONFIG_CRYPTO_USER_API_HASH in the kernel",
        seen=seen,
        ok=ok,
        command="tc filter add dev respin0 ingress bpf object-file " + "x" * 200,
        status=1,
        output="word " * 80 + "y" * 300,
        verifier="R0 invalid mem access " + "z" * 300,
        counted=7 if seen is Seen.LOADS else -1,
        sent=7,
        received=7,
        maps={"counts": 7},
        seconds=0.1,
        why="" if ok else "expected: loads (it must load); seen: refused, exit status 1",
    )


@pytest.fixture(scope="module", params=["compared", "alone"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page with every result, open and closed."""
    both = request.param == "compared"
    rows = [
        CaseResult(
            case=f"an-object-with-a-long-name-{seen}.o",
            title=f"/srv/{'somewhere/' * 8}{seen}.o, section classifier",
            way="lwt-xmit",
            before=cell(seen if n % 2 else Seen.REFUSED),
            after=cell(seen, ok=n % 2 == 0) if both else None,
            object="programs: classifier",
            yours=True,
            limits=("the legacy map counts is static. Remove `static`.",),
        )
        for n, seen in enumerate(Seen)
    ]
    report = SmokeReport(
        place="netns",
        kernel="6.1.0-56-cloud-amd64",
        kernel_package=None,
        accelerator="",
        before="tc utility, iproute2-6.1.0, libbpf 1.1.2",
        after="tc utility, iproute2-6.1.0, libbpf 1.1.2" if both else "",
        packages=("iproute2 6.1.0-3", "iproute2 6.1.0-3+bpf1")[: 2 if both else 1],
        loaders=("libbpf-1", "libbpf-1-fixed")[: 2 if both else 1],
        cases=tuple(rows),
        crashes=1,
        seconds=1.5,
    )
    path = tmp_path_factory.mktemp("page") / "smoke.html"
    text = render.html([report])
    # Every second cell is open.
    parts = text.split("<details ")
    opened = [f"<details {'open ' if n % 2 else ''}{part}" for n, part in enumerate(parts[1:])]
    path.write_text(parts[0] + "".join(opened), "utf-8")
    return path


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(page: Path, width: int) -> None:
    pages.fits(page, width, text=".cell .state")


def test_states_are_told_without_colour(page: Path) -> None:
    text = page.read_text("utf-8")
    pages.holds_both_schemes(text)
    pattern = r'<span class="mark" aria-hidden="true">(.)</span>([a-z-]+)</span>'
    marks = {word: mark for mark, word in re.findall(pattern, text)}
    assert set(marks) == set(Seen)
    alike = {Seen.LOADS, Seen.SURVIVES}
    assert len({mark for word, mark in marks.items() if word not in alike}) == len(Seen) - 2
    assert marks[Seen.LOADS] not in {mark for word, mark in marks.items() if word not in alike}
    wrong = text.count('<details class="wrong"') + text.count('<details open class="wrong"')
    assert text.count("not as expected</b>") == wrong


def test_the_answer_comes_first(page: Path) -> None:
    text = page.read_text("utf-8")
    parts = ['class="answer"', 'aria-label="Legend"', 'role="table"', "<h4>Command</h4>"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    for words in ("What tc said", "With the verifier's log", "Kernel log", "The object"):
        assert f"<h4>{words}</h4>" in text
    assert "<script" not in text and "http" not in text and "<link" not in text
