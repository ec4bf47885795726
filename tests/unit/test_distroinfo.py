# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Releases with their support, and what is known of each."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import catalogue
from pipeline.config.config import Config, Derivative
from pipeline.errors import UsageError
from pipeline.fixes import fixes
from pipeline.releases import distroinfo, releases
from pipeline.releases.distroinfo import Support
from pipeline.releases.releases import Pocket
from pipeline.text.address import Address

CSV = {
    "debian": "version,codename,series,created,release,eol,eol-lts,eol-elts\n"
    "12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-06-10,2028-06-30,2033-06-30\n"
    "99,Zurg,zurg,2030-01-01\n"
    ",Sid,sid,1993-08-16\n,Experimental,experimental,1993-08-16\n",
    "ubuntu": "version,codename,series,created,release,eol,eol-server,eol-esm,eol-legacy\n"
    "6.06 LTS,Dapper Drake,dapper,2005-10-12,2006-06-01,2009-07-14,2011-06-01\n"
    "22.04 LTS,Jammy,jammy,2021-10-14,2022-04-21,2027-06-01,2027-06-01,2032-04-09,2034-04-19\n",
}


def written(directory: Path, **changed: str) -> Path:
    for distro, text in {**CSV, **changed}.items():
        (directory / f"{distro}.csv").write_text(text)
    return directory


@pytest.mark.parametrize(
    ("codename", "day", "support"),
    [
        ("bookworm", "2023-06-09", Support.DEVELOPMENT),
        ("bookworm", "2023-06-10", Support.SUPPORTED),
        ("bookworm", "2026-06-10", Support.SUPPORTED),
        ("bookworm", "2026-06-11", Support.LTS),
        ("bookworm", "2028-07-01", Support.ELTS),
        ("bookworm", "2033-07-01", Support.ENDED),
        ("zurg", "2040-01-01", Support.DEVELOPMENT),
        ("sid", "2026-01-01", Support.DEVELOPMENT),
        ("dapper", "2011-06-01", Support.SUPPORTED),
        ("dapper", "2011-06-02", Support.ENDED),
        ("jammy", "2028-01-01", Support.ESM),
        ("jammy", "2033-01-01", Support.LEGACY),
    ],
)
def test_support(tmp_path: Path, codename: str, day: str, support: Support) -> None:
    known = {k.release.codename: k for k in distroinfo.known(written(tmp_path))}
    assert known[codename].support(date.fromisoformat(day)) is support
    assert "experimental" not in known


def test_a_new_release_is_known_when_the_package_knows_it(tmp_path: Path) -> None:
    later = CSV["debian"] + "100,New,newone,2031-01-01,2033-01-01,2036-01-01\n"
    codenames = [k.release.codename for k in distroinfo.known(written(tmp_path, debian=later))]
    assert "newone" in codenames


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", CSV["debian"].replace("2023-06-10", "yesterday")]
)
def test_broken_data(tmp_path: Path, text: str) -> None:
    if text == "":
        (tmp_path / "none").mkdir()
        with pytest.raises(UsageError) as caught:
            distroinfo.known(tmp_path / "none")
    else:
        with pytest.raises(UsageError, match="does not have the documented form") as caught:
            distroinfo.known(written(tmp_path, debian=text))
    assert caught.value.hint == "run apt-get install distro-info-data"


@given(st.sampled_from(distroinfo.known()), st.dates(date(1995, 1, 1), date(2050, 1, 1)))
def test_support_never_returns(known: distroinfo.Known, day: date) -> None:
    order = list(Support)
    now, later = known.support(day), known.support(date(2060, 1, 1))
    assert order.index(now) <= order.index(later)
    until = known.until(day)
    assert until is None or until >= day


@pytest.mark.parametrize(
    ("name", "pocket", "suite"),
    [
        ("buster", Pocket.SECURITY, "buster/updates"),
        ("bullseye", Pocket.SECURITY, "bullseye-security"),
        ("forky", Pocket.SECURITY, "forky-security"),
        ("jammy", Pocket.SECURITY, "jammy-security"),
        ("bionic", Pocket.BACKPORTS, "bionic-backports"),
        ("stretch", Pocket.UPDATES, "stretch-updates"),
        ("stretch", Pocket.RELEASE, "stretch"),
    ],
)
def test_pockets(name: str, pocket: Pocket, suite: str) -> None:
    assert releases.suite(releases.find(name), pocket) == suite


def test_old_archives(tmp_path: Path) -> None:
    keyring = tmp_path / "k.gpg"
    keyring.touch()
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/a.list").write_text(
        "deb http://mirror.example.org/debian bookworm main\n"
        "deb http://mirror.example.org/debian-security bookworm-security main\n"
        "deb http://mirror.example.org/ubuntu jammy main\n"
        "deb http://mirror.example.org/ubuntu jammy-security main\n"
    )

    def old(name: str, day: str) -> list[tuple[str, tuple[str, ...]]]:
        found = releases.sources(
            releases.find(name),
            keyring=keyring,
            config=Config(),
            on=date.fromisoformat(day),
            etc=tmp_path,
            lists=tmp_path,
        )
        assert all(s.fallback for s in found if s.frozen)
        return [(s.uri, s.suites) for s in found if s.frozen]

    assert old("stretch", "2021-01-01") == []  # long-term support: still on the mirrors
    assert old("stretch", "2023-01-01") == [
        ("http://archive.debian.org/debian", ("stretch", "stretch-updates")),
        ("http://archive.debian.org/debian-security", ("stretch/updates",)),
    ]
    assert old("disco", "2019-05-01") == []
    assert old("disco", "2021-01-01") == [
        ("http://old-releases.ubuntu.com/ubuntu", ("disco", "disco-updates", "disco-security"))
    ]


# -- what is known of each release --------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "stt", "libbpf"),
    [
        ("stretch", "has", "lacks (inferred)"),
        ("bionic", "has", "lacks (inferred)"),
        ("cosmic", "has", "lacks (inferred)"),
        ("disco", "has", "lacks (inferred)"),
        ("buster", "lacks (inferred)", "lacks (inferred)"),
        ("bullseye", "lacks (inferred)", "lacks"),
        ("focal", "lacks (inferred)", "lacks"),
        ("jammy", "lacks (inferred)", "lacks"),
        ("bookworm", "lacks (inferred)", "has"),
        ("trixie", "lacks (inferred)", "has"),
        ("duke", "lacks (inferred)", "has (inferred)"),
        ("forky", "lacks (inferred)", "has"),
        ("sid", "lacks (inferred)", "has"),
        ("noble", "lacks (inferred)", "has"),
        ("oracular", "lacks (inferred)", "has"),
        # The version of libbpf in kinetic is not known, and that of iproute2 does not tell.
        ("kinetic", "lacks (inferred)", "not known"),
        ("mantic", "lacks (inferred)", "has (inferred)"),
        ("eoan", "lacks (inferred)", "lacks (inferred)"),
        ("artful", "has (inferred)", "lacks (inferred)"),
        ("zesty", "has (inferred)", "lacks (inferred)"),
        ("xenial", "lacks (inferred)", "lacks (inferred)"),
        ("warty", "lacks (inferred)", "lacks (inferred)"),
    ],
)
def test_facts(release: str, stt: str, libbpf: str) -> None:
    rows = {r.release.codename: r for r in catalogue.listing(Config(), date(2026, 1, 1))}
    assert rows[release].defects["stt-object"] == stt
    assert rows[release].defects["libbpf-legacy-maps"] == libbpf


def test_listing() -> None:
    described = Derivative(name="acme", base="bookworm", uris=(Address("http://apt.example.org"),))
    rows = catalogue.listing(Config(releases={"acme": described}), date(2026, 1, 1))
    assert [r.release for r in rows[:-1]] == list(releases.known())
    assert rows[-1].described and rows[-1].release.codename == "acme"
    value = catalogue.to_json(rows)
    assert set(value["releases"][0]["defects"]) == {f.name for f in fixes.all_fixes()}
    lines = catalogue.table(rows)
    assert "respin.toml" in lines[-1] and max(map(len, lines)) <= 80
    assert {r.release.codename for r in rows} <= {w for line in lines for w in line.split()}


def test_only_what_is_supported_or_has_a_defect() -> None:
    rows = catalogue.listing(Config(), date(2026, 11, 1))
    chosen = {r.release.codename for r in catalogue.chosen(rows)}
    # Supported without a defect, ended with one that is known, ended with one that is inferred.
    assert {"bookworm", "jammy", "disco", "artful"} < chosen
    assert not {"warty", "wily", "yakkety", "jessie"} & chosen
