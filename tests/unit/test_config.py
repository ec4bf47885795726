# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin.toml: what it may say, and that what is not known is an error with a hint."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import config
from pipeline.config.config import Archives, Config
from pipeline.errors import PatchError, UsageError
from pipeline.fixes import versions
from pipeline.host.cache import Cache
from pipeline.releases import releases
from pipeline.source import superseded

ACME = """
[archives]
snapshot = "http://127.0.0.1:1/"
ubuntu-old = ""

[release.acme]
base = "bookworm"
uris = ["http://apt.example.org/acme/"]
suites = ["acme-12", "acme-12-security"]
components = ["main", "acme"]
keyring = "acme.gpg"
kernel = "linux-image-acme"
suffix = "+bpfacme{n}"
frozen = true
"""


def parsed(text: str, path: Path = Path("/etc/respin.toml")) -> Config:
    return config.parse(tomllib.loads(text), path)


def test_a_derivative(tmp_path: Path) -> None:
    (tmp_path / "respin.toml").write_text(ACME)
    (tmp_path / "acme.gpg").touch()
    found = config.load(tmp_path / "respin.toml")
    assert found.archives.snapshot == "http://127.0.0.1:1"
    assert found.archives.ubuntu_old == ""
    assert found.archives.launchpad == Archives().launchpad
    release = releases.find("acme", config=found)
    assert (release.distro, release.codename, release.version) == ("debian", "acme", "12")
    assert release.kernel == "linux-image-acme"
    (source,) = releases.sources(release, config=found)
    assert source.uri == "http://apt.example.org/acme"
    assert source.suites == ("acme-12", "acme-12-security")
    assert source.components == ("main", "acme")
    assert source.keyring == tmp_path / "acme.gpg"
    assert source.frozen
    assert versions.rebuilt("1-1", release.distro, 3, rule=release.suffix) == "1-1+bpfacme3"
    with pytest.raises(PatchError, match="can make no version"):
        versions.rebuilt("1-1", release.distro, 3, rule="+acme{n}")  # below 1-1+b1
    # Debian's history is not that of a derivative.
    assert superseded.history(release, Cache(tmp_path / "cache"), found) is None
    with pytest.raises(UsageError):
        releases.find("acme")


def test_a_known_release_from_elsewhere(tmp_path: Path) -> None:
    keyring = tmp_path / "k.gpg"
    keyring.touch()
    found = parsed(f'[release.bookworm]\nuris = ["http://apt.example.org"]\nkeyring = "{keyring}"')
    release = releases.find("bookworm", config=found)
    (source,) = releases.sources(release, config=found)
    assert source.suites == ("bookworm", "bookworm-updates", "bookworm-security")
    assert releases.find("trixie", config=found) == releases.find("trixie")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[relase.x]", "'relase'", "'release'"),
        ('[archives]\nsnapshoot = ""', "'snapshoot'", "'snapshot'"),
        ('[release.x]\nuri = ["http://x"]', "'uri'", "'uris'"),
        ('[release.x]\nkeyrings = "x"', "'keyrings'", "'keyring'"),
        ('[release.x]\nname = "y"', "'name'", "did you mean"),
        ('[release."../x"]', "[release]: expected the name of a release", 'found "../x"'),
        ("release = 7", "[release]: expected a table", "found 7"),
        ('[release.x]\nuris = "http://x"', "uris", "list"),
        ('[release.x]\nuris = ["not an address"]', "uris", "address"),
        ('[release.x]\nuris = ["http://x y"]', "uris", "address"),
        ('[release.x]\nsuites = ["a b"]', "suites", "word"),
        ('[release.x]\nsuites = ["../x"]', "suites", "word"),
        ('[release.x]\nsuites = ["x\\nTrusted: yes"]', "suites", "word"),
        ("[release.x]\ncomponents = [7]", "[release.x] components[0]: expected a word", "found 7"),
        ('[release.x]\nsuffix = "+acme"', "suffix", "{n}"),
        ('[release.x]\nsuffix = "-{n} x"', "suffix", "{n}"),
        ('[release.x]\nkernel = "-o Dir=/"', "kernel", "package"),
        ("[release.x]\nfrozen = 1", "frozen", "true or false"),
        ("[archives]\nlaunchpad = 7", "launchpad: expected an address", "found 7"),
        ("[archives]\nlaunchpad = 2026-01-01", "launchpad", "found 2026-01-01"),
        ('[release.x]\nuris = "http://u:word@x"', "uris: expected a list", "found an address"),
        ('[release.x]\nuris = ["http://u:word@x y"]', "uris[0]", "such as http://"),
        ('[release.x]\nuris = ["http://"]', "uris[0]", "address"),
        ('[release.x]\nbase = "a\\u001b"', "base: expected a text in one line", "\\u001b"),
    ],
)
def test_what_is_not_known(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert said in caught.value.brief and caught.value.hint
    assert hint in f"{caught.value.brief} {caught.value.hint}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[release.x]\nuris = ["http://x"]', "has no base"),
        ('[release.x]\nbase = "bookworm"', "has no uris"),
        ('[release.x]\nbase = "bookwurm"\nuris = ["http://x"]', "no release named"),
    ],
)
def test_a_derivative_of_nothing(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        releases.find("x", config=parsed(text))


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESPIN_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert config.load() == Config()
    own = tmp_path / "home/respin/respin.toml"
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert config.load().path == own
    # What is in the current directory only adds to it (tests/adversary/test_current_directory.py).
    (here / "respin.toml").write_text('[nightly]\nreleases = ["trixie"]')
    found = config.load()
    assert (found.path, found.nightly.releases, found.here) == (own, ("trixie",), ("releases",))
    other = tmp_path / "other.toml"
    other.write_text("")
    assert config.load(other).path == other
    monkeypatch.setenv("RESPIN_CONFIG", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="cannot be read"):
        config.load()


@pytest.mark.parametrize("data", [b"[", b"\xff", b"#" * (2 << 20), b"a=" + b"[" * 5000])
def test_what_is_no_toml(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "respin.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        config.load(path)


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["x", "uris", "suites", "base", "keyring", "suffix"]), inner, max_size=3
        ),
    ),
)


@given(st.dictionaries(st.sampled_from(["archives", "release", "other"]), VALUES, max_size=3))
def test_any_table_is_a_configuration_or_a_usage_error(values: dict[str, object]) -> None:
    try:
        found = config.parse(values, Path("respin.toml"))
    except UsageError as e:
        assert e.hint
        return
    assert isinstance(found, Config)


def test_patches_of_the_users_own(tmp_path: Path) -> None:
    text = """
patches = ["all.patch", "~/home.patch,optional"]

[release.bookworm]
patches = "only.patch"
"""
    found = parsed(text, tmp_path / "respin.toml")
    every = (tmp_path / "all.patch", Path("~/home.patch,optional").expanduser())
    assert found.patches_for("trixie") == every
    assert found.patches_for("bookworm") == (*every, tmp_path / "only.patch")
    assert releases.find("bookworm", config=found).codename == "bookworm"
    assert Config().patches_for("bookworm") == ()


@pytest.mark.parametrize("value", ["1", "[1]", '{ a = "b" }', '"a\\nb"'])
def test_what_is_no_patch(value: str) -> None:
    with pytest.raises(UsageError, match="patches"):
        parsed(f"patches = {value}\n")
