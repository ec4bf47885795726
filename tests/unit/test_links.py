# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every relative link of the pages leads to a file that is there, and to a heading that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """Return a page without what is shown as it is: indented lines and code."""
    lines = (line for line in text.splitlines() if not line.startswith("    "))
    return re.sub(r"`[^`]*`", "", "\n".join(lines))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def broken(page: Path, text: str) -> Iterator[str]:
    """Yield the links of a page with this text that lead nowhere."""
    for link in LINK.findall(prose(text)):
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):  # somebody else's page
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text())) == []


def test_links_that_lead_nowhere() -> None:
    page = ROOT / "docs" / "usage.md"
    text = (
        "[a](gone.md) [b](sources.md#gone)\n[c](#gone) [d](sources.md#exact-versions) [e](#stages)"
    )
    assert list(broken(page, text)) == ["gone.md", "sources.md#gone", "#gone"]


def test_each_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = {ROOT / "README.md"}
    while ahead:
        page = ahead.pop()
        seen.add(page)
        names = [link.partition("#")[0] for link in LINK.findall(prose(page.read_text()))]
        found = {(page.parent / name).resolve() for name in names if name.endswith(".md")}
        ahead |= {path for path in found if path in PAGES} - seen
    assert [str(page) for page in PAGES if page not in seen and "man" not in page.parts] == []
