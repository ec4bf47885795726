# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of releases, and where their archives are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import select_proxy

from pipeline.archives import host_apt
from pipeline.config import distros
from pipeline.errors import UsageError
from pipeline.model import AptSource, Release
from pipeline.releases import releases

MIRROR = "http://mirror.example.org/debian"


@pytest.mark.parametrize(
    ("name", "codename"),
    [
        ("bookworm", "bookworm"),
        ("Bookworm", "bookworm"),
        ("12", "bookworm"),
        ("debian:12", "bookworm"),
        ("debian 12", "bookworm"),
        ("debian:bookworm", "bookworm"),
        ("sid", "sid"),
        ("forky", "forky"),
        ("22.04", "jammy"),
        ("ubuntu:22.04", "jammy"),
        ("ubuntu 24.04", "noble"),
        ("noble", "noble"),
    ],
)
def test_find(name: str, codename: str) -> None:
    assert releases.find(name).codename == codename


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bookwurm", "bookworm"),
        ("debian:bookwurm", "bookworm"),
        ("22.05", "22.04"),
        ("", "codename"),
        ("ubuntu:bookworm", "bookworm"),
        ("debian:", "codename"),
        ("experimental", "codename"),
        ("../../etc", "codename"),
    ],
)
def test_no_such_release(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        releases.find(name)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


@given(st.sampled_from(releases.known()))
def test_every_release_is_found_by_its_codename(release: Release) -> None:
    assert releases.find(release.codename) == release
    if release.version:
        assert releases.find(f"{release.distro}:{release.version}") == release


@given(st.text(max_size=20))
def test_any_name_is_a_release_or_a_usage_error(name: str) -> None:
    try:
        assert releases.find(name) in releases.known()
    except UsageError as e:
        assert e.hint


def os_release(directory: Path, text: str) -> Path:
    path = directory / "os-release"
    path.write_text(text)
    return path


def test_this_machine(tmp_path: Path) -> None:
    path = os_release(tmp_path, 'ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME="noble"\n')
    assert releases.find(None, machine=path).codename == "noble"


@pytest.mark.parametrize("text", ["ID=fedora\nPRETTY_NAME='Fedora 40'\n", "", "ID=debian\n"])
def test_this_machine_is_no_release(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="this machine runs") as caught:
        releases.find(None, machine=os_release(tmp_path, text))
    assert "--release" in caught.value.hint


def test_no_os_release(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        releases.find(None, machine=tmp_path / "nothing")


def test_the_proxies_of_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        'Acquire::http::Proxy "http://proxy:3128/";',
        'Acquire::http::Proxy::near.example "DIRECT";',
        'Acquire::https::Proxy::far.example "http://other:1";',
        'Acquire::http::Timeout "30";',
    )
    monkeypatch.setattr(host_apt, "network_settings", lambda: said)
    proxies = host_apt.proxies()
    assert select_proxy("http://deb.example/x", proxies) == "http://proxy:3128/"
    assert not select_proxy("http://near.example/x", proxies)
    assert select_proxy("https://far.example/x", proxies) == "http://other:1"
    assert not select_proxy("https://deb.example/x", proxies)


# -- sources ----------------------------------------------------------------------------


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.gpg"
    path.touch()
    return path


@pytest.fixture(autouse=True)
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_apt, "architecture", lambda: "amd64")


def pockets(sources: tuple[AptSource, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(s.uri, s.suites) for s in sources]


@pytest.mark.parametrize(
    ("name", "mirror", "expected"),
    [
        (
            "bookworm",
            "http://mirror.example/debian/",
            [
                (
                    "http://mirror.example/debian",
                    ("bookworm", "bookworm-updates", "bookworm-security"),
                ),
                ("http://mirror.example/debian-security", ("bookworm-security",)),
            ],
        ),
        (
            "buster",
            "http://127.0.0.1:1",
            [("http://127.0.0.1:1", ("buster", "buster-updates", "buster/updates"))],
        ),
        ("sid", "http://mirror.example/debian", [("http://mirror.example/debian", ("sid",))]),
        (
            "jammy",
            "http://mirror.example/ubuntu",
            [("http://mirror.example/ubuntu", ("jammy", "jammy-updates", "jammy-security"))],
        ),
    ],
)
def test_sources_of_a_given_mirror(
    name: str, mirror: str, expected: list[tuple[str, tuple[str, ...]]], keyring: Path
) -> None:
    sources = releases.sources(releases.find(name), mirror=mirror, keyring=keyring)
    assert pockets(sources) == expected
    assert {s.keyring for s in sources} == {keyring}


@pytest.mark.parametrize("mirror", ["", "mirror.example", "ftp//x", "http://a b/", "-o Dir=/"])
def test_what_is_no_mirror(mirror: str, keyring: Path) -> None:
    with pytest.raises(UsageError, match="not a valid address of a mirror"):
        releases.sources(releases.find("bookworm"), mirror=mirror, keyring=keyring)


ONE_LINE = """# the installer's
deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian bookworm main contrib # here
deb-src http://mirror.example/debian bookworm main
#deb http://commented.example/debian bookworm main
deb http://security.example/debian-security/ bookworm-security main
"""

DEB822 = """Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 x
 -----END PGP PUBLIC KEY BLOCK-----

# the next is another
Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
"""

VENDORS = """deb https://vendor.example/linux/debian bookworm stable
deb https://tools.example/tools.example bookworm main
deb http://vendor.example/debian bookworm-vendor extra
"""


UBUNTU = """Types: deb
URIs: http://mirror.example/ubuntu/
Suites: noble noble-updates noble-backports
Components: main universe restricted multiverse
Architectures: amd64 i386
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.example/ubuntu/
Suites: noble-security
Components: main universe restricted multiverse
Architectures-Remove: arm64
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""

PORTS = """deb [arch=arm64 signed-by=/x.gpg] http://ports.example/ubuntu-ports noble main universe
deb [ arch-=amd64,i386 ] http://ports.example/ubuntu-ports noble-security main universe
"""


def apt_directory(directory: Path, **files: str) -> Path:
    etc = directory / "apt"
    (etc / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        (etc / "sources.list.d" / name.replace("_", ".")).write_text(text)
    return etc


@pytest.mark.parametrize("files", [{"a_list": ONE_LINE}, {"a_sources": DEB822}])
@pytest.mark.parametrize("vendors", ["", VENDORS])
def test_the_mirror_that_this_machine_uses(
    tmp_path: Path, keyring: Path, files: dict[str, str], vendors: str
) -> None:
    etc = apt_directory(tmp_path, **files)
    (etc / "sources.list").write_text(vendors)
    sources = releases.sources(
        releases.find("bookworm"), keyring=keyring, etc=etc, lists=tmp_path / "lists"
    )
    assert pockets(sources) == [
        ("http://mirror.example/debian", ("bookworm", "bookworm-updates")),
        ("http://security.example/debian-security", ("bookworm-security",)),
    ]


def test_another_release_of_the_distro_comes_from_the_same_mirror(
    tmp_path: Path, keyring: Path
) -> None:
    etc = apt_directory(tmp_path, a_list=ONE_LINE)
    trixie = releases.find("trixie")
    sources = releases.sources(trixie, keyring=keyring, etc=etc, lists=tmp_path / "lists")
    assert sources[0].uri == "http://mirror.example/debian"
    assert sources[1].suites == ("trixie-security",)


@pytest.mark.parametrize(
    ("architecture", "hosts"),
    [
        ("amd64", ("mirror.example/ubuntu", "security.example/ubuntu")),
        ("arm64", ("ports.example/ubuntu-ports",)),
    ],
)
def test_the_hosts_of_an_architecture(
    architecture: str,
    hosts: tuple[str, ...],
    tmp_path: Path,
    keyring: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine with two architectures has the ports of Ubuntu before the archive itself."""
    monkeypatch.setattr(host_apt, "architecture", lambda: architecture)
    etc = apt_directory(tmp_path, a_list=PORTS, b_sources=UBUNTU)
    sources = releases.sources(
        releases.find("noble"), keyring=keyring, etc=etc, lists=tmp_path / "lists"
    )
    apart = (("noble", "noble-updates"), ("noble-security",))
    suites = apart if len(hosts) == 2 else ((*apart[0], *apart[1]),)
    assert pockets(sources) == [
        (f"http://{host}", each) for host, each in zip(hosts, suites, strict=True)
    ]


def test_entries_of_both_styles(tmp_path: Path) -> None:
    etc = apt_directory(tmp_path, a_sources=DEB822, b_list=ONE_LINE, c_save=VENDORS)
    found = host_apt.entries(etc)
    assert {e.uri for e in found} == {
        "http://mirror.example/debian",
        "http://security.example/debian-security",
    }
    assert ("main", "contrib") in {e.components for e in found}


def test_no_keyring_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(distros.Debian, "keyring", tmp_path / "none.gpg")
    with pytest.raises(UsageError) as caught:
        releases.sources(releases.find("bookworm"), mirror=MIRROR)
    assert "apt-get install debian-archive-keyring" in caught.value.hint
