# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""[nightly], [publish] and [notify] of respin.toml."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.config import config
from pipeline.config.nightly import Nightly, Notifying, Publishing
from pipeline.errors import UsageError

DOCS = Path(__file__).parents[2] / "docs/nightly.md"
HERE = Path("/etc/respin/respin.toml")


def parse(text: str) -> Nightly:
    return config.parse(tomllib.loads(text), HERE).nightly


def documented() -> str:
    """Return the whole configuration that docs/nightly.md shows."""
    text = DOCS.read_text().partition("## respin.toml\n")[2].partition("\n## ")[0]
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


def test_what_the_documentation_shows_is_understood() -> None:
    """And it shows every key there is."""
    text = documented().replace("0123 4567 …", "0123456789ABCDEF0123456789ABCDEF01234567")
    found = parse(text)
    assert found.releases == ("debian:supported", "ubuntu:lts", "acme")
    assert found.rebuild_on == ("toolchain",)
    assert found.keep_runs == timedelta(days=90) and found.cache_size == 20 << 30
    assert found.publish.passphrase_file == Path("/etc/respin/passphrase")
    assert found.notify.command[0] == "mail"
    keys = set(re.findall(r"^([a-z-]+) =", text, re.MULTILINE))
    fields = {
        f.replace("_", "-") for c in (Nightly, Publishing, Notifying) for f in c.__annotations__
    }
    assert keys == fields - {"publish", "notify"}


def test_without_a_word_of_it_there_are_defaults() -> None:
    assert parse("") == Nightly()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[nightly]\nrelease = ["x"]', "no key 'release'"),
        ("[nightly]\nreleases = 5", "releases is not"),
        ('[nightly]\npockets = ["proposed"]', "pockets is not"),
        ('[nightly]\nrebuild-on = "moon"', "rebuild-on is not"),
        ("[nightly]\nkeep-runs = 0", "keep-runs"),
        ("[nightly]\nkeep-runs = true", "keep-runs"),
        ('[nightly]\ncache-size = "much"', "cache-size is not"),
        ('[publish]\nkey = "mine"', "key is not"),
        ('[publish]\norigin = "two words"', "origin is not"),
        ('[publish]\nurl = "here"', "url is not"),
        ("[publish]\nkeep = 0", "keep is not"),
        ('[notify]\ncommand = "mail me"', "command is not"),
        ('[notify]\nwebhook = "http://x"', "no key 'webhook'"),
        ("nightly = 1", "it must be"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse(text)


def test_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPIN_STATE", "/srv/respin")
    assert parse("").state_folder() == Path("/srv/respin")
    assert parse('[nightly]\nstate = "here"').state_folder() == Path("/etc/respin/here")
