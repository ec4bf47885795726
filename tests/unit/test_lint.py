# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a commit is asked is what `make lint` asks, and links in the docs lead somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]


def test_the_hooks_of_a_commit_are_those_of_make_lint() -> None:
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    rules = re.search(r"^lint:.*\n((?:\t.*\n)+)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert rules
    program = re.compile(r"(?:\$\(VENV\)|\.venv)/bin/(\S+)|\b(shellcheck|lint-man)\b")
    asked = {word for found in program.findall(rules[1]) for word in found if word}
    assert {w for e in entries for found in program.findall(e) for w in found if w} == asked
    assert len(asked) == 8


def test_links_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
    pages = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]
    found = [(page, match) for page in pages for match in link.findall(page.read_text())]
    assert len(found) > 50
    assert [f"{p.name}: {to}" for p, to in found if not (p.parent / to).exists()] == []


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by their names, and refuses the second of a name in a whole run."""
    names = Counter(path.name for path in (CHECKOUT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
