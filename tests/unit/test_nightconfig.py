# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""[nightly], [publish], [trust] and [notify] of respin.toml."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from pipeline.config import config
from pipeline.config.config import Archives, Derivative, Trust
from pipeline.config.nightly import Nightly, Notifying, Publishing
from pipeline.errors import UsageError
from pipeline.host.resources import package_data

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
        f.replace("_", "-")
        for c in (Nightly, Publishing, Notifying, Trust)
        for f in c.__annotations__
    }
    assert keys == fields - {"publish", "notify"}


def test_without_a_word_of_it_there_are_defaults() -> None:
    assert parse("") == Nightly()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[nightly]\nrelease = ["x"]', "no key 'release'"),
        ("[nightly]\nreleases = 5", "releases: expected"),
        ('[nightly]\npockets = ["proposed"]', "pockets: expected"),
        ('[nightly]\nrebuild-on = "moon"', "rebuild-on: expected"),
        ("[nightly]\nkeep-runs = 0", "keep-runs"),
        ("[nightly]\nkeep-runs = true", "keep-runs"),
        ('[nightly]\ncache-size = "much"', "cache-size: expected"),
        ('[publish]\nkey = "mine"', "key: expected"),
        ('[publish]\norigin = "two words"', "origin: expected"),
        ('[publish]\nurl = "here"', "url: expected"),
        ("[publish]\nkeep = 0", "[publish] keep: expected a whole number from 1 to 100, found 0"),
        ('[notify]\ncommand = "mail me"', "command: expected"),
        ('[notify]\nwebhook = "http://x"', "no key 'webhook'"),
        ("[publish]\nkeep = 3.0", "keep: expected a whole number from 1 to 100, found 3.0"),
        ('[publish]\nkeep = "x"', "respin.toml: [publish] keep: expected a whole number"),
        ("[publish]\nkeep = nan", "found NaN"),
        (
            '[publish]\nkey = ["1", "2", "3"]',
            "key: expected a fingerprint of 40",
        ),
        ('[publish]\norigin = "two\\n"', "origin: expected"),
        ('[nightly]\nruns-size = "10G\\n"', 'runs-size: expected a size such as "500M"'),
        ("nightly = 1", "[nightly]: expected a table of keys and values, found 1"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse(text)


def test_the_schema_has_every_key_and_says_what_it_is_for() -> None:
    """An editor shows it; ``respin.toml(5)`` is held to the records, too."""
    schema = json.loads(package_data("pipeline.config", "respin.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    tables = schema["properties"]
    release = tables["release"]["additionalProperties"]
    kinds = {"archives": Archives, "nightly": Nightly, "publish": Publishing, "notify": Notifying}
    for table, kind in kinds.items():
        fields = {f.name.replace("_", "-") for f in dataclasses.fields(kind)} - {
            "publish",
            "notify",
        }
        assert set(tables[table]["properties"]) == fields
    keys = {f.name.replace("_", "-") for f in dataclasses.fields(Derivative)}
    assert {*release["properties"], "name"} == keys
    for table in (*(tables[name] for name in kinds), release):
        assert all(key["description"] for key in table["properties"].values())


def test_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPIN_STATE", "/srv/respin")
    assert parse("").state_directory() == Path("/srv/respin")
    assert parse('[nightly]\nstate = "here"').state_directory() == Path("/etc/respin/here")
