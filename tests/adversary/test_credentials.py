# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker reads what respin prints, writes and publishes, or the list of processes.

The aim is the user and the password of a private archive, a service, a proxy or a webhook. The
tests look for them in all output, in every directory that is left, and in the arguments of every
process that runs meanwhile.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from support import cli, inprocess, nights, standin
from support.archive import Archive, Signer
from support.canary import Canary
from support.nights import Distro
from support.packages import make_source
from support.services import Service, snapshot

from pipeline.archives import credentials, host_apt
from pipeline.archives.apt import AptArchive
from pipeline.archives.conditional import Mirror
from pipeline.config import config
from pipeline.containers import apt_inside, roots
from pipeline.containers.base import Call, Container
from pipeline.errors import BuildError, FetchError, UsageError
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.command import Completed
from pipeline.model import AptSource
from pipeline.releases import releases
from pipeline.text.address import Address, scrub

pytestmark = pytest.mark.attack

BOOKWORM = releases.find("bookworm")
HELD = ("auth.conf", "respin.toml")
"""The files that have to have it."""
GOLDEN = Path(__file__).parents[1] / "golden/fixes/v4.20-fixed/in"


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path, signer: Signer, canary: Canary) -> Iterator[Archive]:
    """An archive that wants a password; its source needs no fix."""
    files = {str(p.relative_to(GOLDEN)): p.read_text() for p in GOLDEN.rglob("*.[ch]")}
    with Archive(tmp_path / "served", signer) as serving:
        serving.add_source(make_source(tmp_path / "made", files=files))
        serving.publish()
        serving.wanted = canary.pair
        yield serving


# -- the address itself -----------------------------------------------------------------

FORMS: dict[str, Callable[[Address], str]] = {
    "str": str,
    "repr": repr,
    "format": lambda a: f"{a} {a!r} {a!s} {a:>90}",
    "percent": lambda a: "%s %r" % (a, a),  # noqa: UP031
    "json": lambda a: json.dumps({"a": [a], a: 1}),
    "pickle": lambda a: pickle.dumps(a).decode("latin1"),
    "copy": lambda a: f"{copy.copy(a)} {copy.deepcopy(a)!r}",
    "bytes": lambda a: a.encode().decode(),
    "record": lambda a: repr(source(a)) + str(asdict(source(a))),
    "below": lambda a: f"{a / 'dists'} {a / 'dists'!r}",
    "beside": lambda a: repr(a.like(f"{a}-security")),
    "credentials": lambda a: f"{a.credentials} {a.credentials!r} {[a.credentials]}",
    "attributes": lambda a: str(vars(a)),
    "file name": lambda a: a.replace("/", "_"),
    "environment": lambda a: os.fsdecode(os.fsencode(a)),
}


def source(address: str) -> AptSource:
    return AptSource(
        uri=address,  # type: ignore[arg-type]
        suites=("bookworm",),
        components=("main",),
        keyring=Path("/nowhere"),
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_text_of_an_address(canary: Canary, form: str) -> None:
    address = Address(canary.into("https://apt.example.org:8080/debian"))
    canary.nowhere(FORMS[form](address))
    assert "apt.example.org" in FORMS[form](address) or form in ("credentials", "attributes")
    assert address.credentials is not None and address.credentials.password == canary.password


@pytest.mark.parametrize(
    "written",
    [
        "https://{user}:{word}/half@apt.example.org/debian",
        "https://{user}:{word}#half@apt.example.org/debian",
        "https://{user}:{word}?half@apt.example.org/debian",
        "https://{user}:12/{word}@apt.example.org/debian",
        "https://{user}:{word}@apt.example.org/debian@2",
        "https://{user}:{word} half@apt.example.org/debian",
        "https://{user}:{word}\nhalf@apt.example.org/debian",
        "gopher://{user}:{word}@apt.example.org/debian",
    ],
)
def test_an_address_that_is_not_clear(canary: Canary, tmp_path: Path, written: str) -> None:
    """It is refused in a sentence, which does not have it."""
    word = canary.password.rstrip("/@#")
    text = written.format(user=canary.user, word=word)
    path = tmp_path / "respin.toml"
    path.write_text(f"[release.acme]\nbase = 'bookworm'\nuris = [{json.dumps(text)}]\n")
    out = tmp_path / "out"
    for args in (
        ("diagnose", "--release", "acme", "--config", path, "--out", out),
        ("fetch", "--release", "bookworm", "--mirror", text, "--out", out),
    ):
        said = inprocess.respin(*args, env={"RESPIN_CACHE": str(tmp_path / "cache")})
        assert said.status == 2, said
        canary.nowhere(said.out, said.err)
    assert not out.exists()


def test_an_exception_of_others_that_quotes_it(canary: Canary) -> None:
    url = canary.into("http://proxy.example.org:3128")
    for text in (f"Please check {url}.", f"({url!r}, '{url}/')", f"a {url} b {url} c"):
        canary.nowhere(scrub(text))
        assert "proxy.example.org:3128" in scrub(text)


# -- a run ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a respin is called."""

    directory: Path
    archive: Archive
    canary: Canary

    def configure(self, address: str, more: str = "") -> Path:
        path = self.directory / "respin.toml"
        path.write_text(
            '[archives]\nsnapshot = ""\nlaunchpad = ""\ndebian-old = ""\n'
            f'debian-security-old = ""\n{more}\n[release.acme]\nbase = "bookworm"\n'
            f'uris = ["{address}"]\nsuites = ["bookworm"]\nkeyring = "{self.archive.keyring}"\n'
        )
        path.chmod(0o600)
        return path

    def respin(self, *args: str | Path, **env: str) -> cli.Said:
        found = {"RESPIN_CACHE": str(self.directory / "cache"), **env}
        return inprocess.respin(*args, env=found)

    def left(self) -> Sequence[Path]:
        """Return all directories in which something may be left."""
        return [p for p in self.directory.iterdir() if p.name not in ("served", "made")]


@pytest.fixture
def place(tmp_path: Path, archive: Archive, canary: Canary) -> Place:
    return Place(directory=tmp_path, archive=archive, canary=canary)


def patched(place: Place, path: Path, name: str) -> cli.Said:
    return place.respin(
        *("patch", "--release", "acme", "--config", path, "--verbose", "--json"),
        *("--out", place.directory / name),
    )


def test_a_run(place: Place) -> None:
    """It goes well, and leaves a report, a lock, logs and a cache without it."""
    path = place.configure(place.canary.into(place.archive.url))
    said = patched(place, path, "out")
    assert said.status == 0, said.err
    assert (place.directory / "out/respin.lock").exists() and place.archive.authorizations
    place.canary.nowhere(said.out, said.err, *place.left(), but=HELD)


@pytest.mark.parametrize("fault", ["refused", "cut", "gone", "stranger"])
def test_a_run_that_fails(place: Place, fault: str) -> None:
    """The error says where, and not with what."""
    address = place.canary.into(place.archive.url)
    if fault == "refused":
        place.archive.wanted = "somebody:else"
    elif fault == "cut":
        place.archive.corrupt("iproute2_6.1.0.orig.tar.gz", "cut")
    elif fault == "gone":
        address = place.canary.into("http://127.0.0.1:1")
    else:
        shutil.copy(
            Path("/usr/share/keyrings/debian-archive-keyring.gpg"), place.directory / "k.gpg"
        )
        place.archive.keyring = place.directory / "k.gpg"
    said = patched(place, place.configure(address), "out")
    assert said.status == 10, said.err
    assert "127.0.0.1" in said.err
    place.canary.nowhere(said.out, said.err, *place.left(), but=HELD)


def test_a_mirror_on_the_command_line(place: Place) -> None:
    """Our own arguments are what the caller wrote; nothing goes on from there."""
    said = place.respin(
        *("fetch", "--release", "bookworm", "--mirror", place.canary.into(place.archive.url)),
        *("--keyring", place.archive.keyring, "--out", place.directory / "out", "--verbose"),
    )
    assert said.status == 0, said.err
    place.canary.nowhere(said.out, said.err, *place.left(), but=HELD)


def test_a_service_that_keeps_old_versions(place: Place, signer: Signer) -> None:
    """Its credentials are sent to it, and to no other to which it refers."""
    dsc = make_source(place.directory / "made-old", version="6.1.0-1")
    with Archive(place.directory / "then", signer, suite="sid") as then, Service() as service:
        then.add_source(dsc)
        then.publish()
        snapshot(service, dsc, "6.1.0-1", archive=then)
        service.wanted = place.canary.pair
        path = place.directory / "respin.toml"
        path.write_text(f'[archives]\nsnapshot = "{place.canary.into(service.url)}"\n')
        path.chmod(0o600)
        place.archive.wanted = ""
        asked = (
            *("fetch", "--release", "bookworm", "--config", path, "--version", "6.1.0-1"),
            *("--mirror", place.archive.url, "--keyring", place.archive.keyring, "--verbose"),
        )
        said = place.respin(*asked, "--out", place.directory / "out")
        assert said.status == 0, said.err
        service.wanted = "somebody:else"
        shutil.rmtree(place.directory / "cache")
        bad = place.respin(*asked, "--out", place.directory / "bad")
        assert bad.status == 10 and "status 401" in bad.err
    left = [p for p in place.left() if p.name not in ("then", "made-old")]
    place.canary.nowhere(said.out, said.err, bad.err, *left, but=HELD)


@pytest.mark.parametrize("given", ["environment", "apt"])
def test_a_proxy(place: Place, given: str) -> None:
    """By the environment, or by this machine's configuration of apt."""
    place.archive.wanted = ""
    proxy = place.canary.into(place.archive.url)
    env = {"http_proxy": proxy}
    if given == "apt":
        conf = place.directory / "auth.conf"  # a name under which it may be found
        conf.write_text(f'Acquire::http::Proxy "{proxy}";\n')
        conf.chmod(0o600)
        env = {"APT_CONFIG": str(conf)}
    host_apt.network_settings.cache_clear()
    try:
        said = place.respin(
            *("fetch", "--release", "acme", "--config", place.configure("http://apt.invalid")),
            *("--out", place.directory / "out", "--verbose"),
            **env,
        )
    finally:
        host_apt.network_settings.cache_clear()
    assert said.status == 0, said.err
    assert place.archive.through_proxy and all(place.archive.through_proxy)
    place.canary.nowhere(said.out, said.err, *place.left(), but=(*HELD, "apt.conf"))


@pytest.mark.parametrize(
    "place", ["127.0.0.1:1", "127.0.0.1:none", "127.0.0.1:99999", "", "[::1", "a b"]
)
def test_a_proxy_that_does_not_answer(
    canary: Canary, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests quotes it in some of its exceptions, and lets others' through."""
    monkeypatch.setenv("http_proxy", canary.into(f"http://{place}"))
    with pytest.raises(FetchError) as caught:
        Mirror().get(Address("http://apt.invalid/dists/bookworm/InRelease"), limit=100)
    canary.nowhere(caught.value.brief, caught.value.details, caught.value.hint)


# -- a file with logins -----------------------------------------------------------------


def with_logins(place: Place, text: str = "", mode: int = 0o600) -> Path:
    """Return a respin.toml that names a file with logins, by default the right one."""
    url, user, word = place.archive.url, place.canary.user, place.canary.password
    logins = place.directory / "auth.conf"
    logins.write_text(text or f"# ours\nmachine {url} login {user}\n  password {word}\n")
    logins.chmod(mode)
    path = place.configure(place.archive.url)
    with path.open("a") as file:
        file.write('auth-file = "auth.conf"\n')
    return path


def test_a_run_with_a_file_of_logins(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt gets it, and so does the watch; everything that is left has nothing of it."""
    path = with_logins(place)
    said = patched(place, path, "out")
    assert said.status == 0, said.err
    left = {path.name for path in (place.directory / "out").iterdir()}
    assert {"report.json", "respin.lock", "provenance.json", "logs"} <= left
    assert any(place.archive.authorizations)
    place.canary.nowhere(said.out, said.err, *place.left(), but=HELD)
    given = releases.sources(
        releases.find("acme", config=config.load(path)), config=config.load(path)
    )
    assert Mirror().get(given[0].uri / "dists/bookworm/InRelease", limit=1 << 20).body
    # Without it, there is no login: it is not that of this machine, or of the run before.
    path.write_text(path.read_text().replace("auth-file", "# auth-file"))
    without = patched(place, path, "without")
    assert without.status == 10 and "wants a login" in without.err, without.err
    with pytest.raises(FetchError, match="wants a login") as caught:
        Mirror().get(Address(place.archive.url) / "dists/bookworm/InRelease", limit=1 << 20)
    assert "auth-file" in caught.value.hint


@pytest.mark.parametrize("fault", ["wrong", "readable", "absent"])
def test_a_faulty_file_of_logins(place: Place, fault: str) -> None:
    """One sentence says what is wrong, and has nothing of the file."""
    mode = 0o640 if fault == "readable" else 0o600
    path = with_logins(place, mode=mode)
    logins = place.directory / "auth.conf"
    if fault == "wrong":
        logins.write_text(logins.read_text().replace(place.canary.user, f"{place.canary.user}x"))
    elif fault == "absent":
        logins.unlink()
    said = patched(place, path, "out")
    status, words = {
        "wrong": (10, "the archive wants a login, or does not accept the one that it got"),
        "readable": (2, "auth.conf has passwords, but other users may read it"),
        "absent": (2, "auth.conf cannot be read: No such file or directory"),
    }[fault]
    assert said.status == status and words in said.err, said.err
    # Nothing is sent unless the file can be used.
    assert bool(place.archive.authorizations) == (fault == "wrong")
    left = [p for p in place.left() if p != logins]
    place.canary.nowhere(said.out, said.err, *left, but=HELD)
    assert not (place.directory / "out").exists()


@pytest.mark.parametrize("client", ["apt", "ours"])
def test_another_host_is_not_sent_the_login(place: Place, signer: Signer, client: str) -> None:
    """An archive that wants a login refers to another host, as one with a content network does."""
    with Archive(place.directory / "other", signer) as other:
        other.publish()
        inrelease = "/dists/bookworm/InRelease"
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        place.archive.elsewhere[inrelease] = f"{elsewhere}{inrelease}"
        path = with_logins(place)
        found = config.load(path)
        given = releases.sources(releases.find("acme", config=found), config=found)
        if client == "ours":
            assert Mirror().get(given[0].uri / inrelease[1:], limit=1 << 20).body
        else:
            cache = Cache(place.directory / "cache")
            with contextlib.suppress(FetchError):  # its lists are of the other archive
                AptArchive(BOOKWORM, given, cache, log=place.directory / "log").versions("iproute2")
        assert any(place.archive.authorizations), "the archive itself gets it"
        assert other.authorizations and not any(other.authorizations)


# -- roots and images -------------------------------------------------------------------


def test_mmdebstrap(place: Place) -> None:
    """It is not on its command line, in its log, nor in what it leaves; and it is used."""
    given = source(place.canary.into(place.archive.url))
    log = place.directory / "log"
    with pytest.raises(BuildError) as caught:  # the archive has no packages
        roots.root_tree(
            (replace(given, keyring=place.archive.keyring),),
            BOOKWORM,
            ["base"],
            Cache(place.directory / "cache"),
            key=(),
            log=log,
        )
    assert any(place.archive.authorizations)
    place.canary.nowhere(str(caught.value), caught.value.details, *place.left())


class Recorder(Container):
    """A container that notes what it is told, and does nothing."""

    name = "recorder"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def _start(self) -> None: ...
    def _remove(self) -> None: ...

    def _run(self, call: Call) -> Completed:
        self.calls.append(call)
        return command.run(["true"])


def test_apt_in_an_image(place: Place) -> None:
    """By standard input, into a file that goes before anything is built."""
    box = Recorder()
    given = source(place.canary.into("https://apt.example.org/acme"))
    apt_inside.install(
        box, [replace(given, keyring=place.archive.keyring)], (), place.directory / "l"
    )
    place.canary.nowhere(*(f"{call.argv} {dict(call.env)} {call.brief}" for call in box.calls))
    (written,) = (c for c in box.calls if place.canary.password.encode() in bytes(c.stdin))
    assert "umask 077" in str(written.argv[-1])
    assert f"{apt_inside.DIRECTORY}/auth.conf" in str(written.argv[-1])
    assert box.calls[-1].argv[:2] == ("rm", "-rf")


# -- whose credentials ------------------------------------------------------------------


def etc_of(place: Place, *lines: str) -> Path:
    etc = place.directory / "etc"
    (etc / "auth.conf.d").mkdir(parents=True)
    (etc / "auth.conf").write_text("machine http://nowhere.invalid login a password b\n")
    (etc / "auth.conf.d/one.conf").write_text("".join(f"{line}\n" for line in lines))
    return etc


def test_control_the_machines_own_serve_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the watch, and for apt, as for the machine's own apt."""
    url, user, word = place.archive.url, place.canary.user, place.canary.password
    etc = etc_of(place, f"machine {url}/ login {user} password {word}")
    monkeypatch.setattr("pipeline.archives.host_apt.ETC", etc)
    assert Mirror().get(Address(url) / "dists/bookworm/InRelease", limit=1 << 20).body
    given = replace(source(url), keyring=place.archive.keyring)
    apt = AptArchive(
        BOOKWORM, (given,), Cache(place.directory / "cache"), log=place.directory / "log"
    )
    assert apt.versions("iproute2")
    place.canary.nowhere(place.directory / "cache", place.directory / "log")


@pytest.mark.parametrize(
    ("entry", "address", "sent"),
    [
        ("http://apt.example.org", "http://apt.example.org/debian", True),
        ("apt.example.org", "https://apt.example.org/debian", True),
        ("apt.example.org/debian", "https://apt.example.org/debian/dists", True),
        ("apt.example.org", "http://apt.example.org/debian", False),
        ("https://apt.example.org", "http://apt.example.org/debian", False),
        ("apt.example.org", "https://apt.example.org.evil.example/debian", False),
        ("apt.example.org", "https://evil.example/apt.example.org", False),
        ("apt.example.org:8443", "https://apt.example.org/debian", False),
        ("apt.example.org/debian", "https://apt.example.org/ubuntu", False),
    ],
)
def test_another_who_asks_for_the_machines_credentials(
    place: Place, entry: str, address: str, sent: bool
) -> None:
    etc = etc_of(place, f"machine {entry} login somebody password something")
    assert (credentials.of(Address(address), etc) is not None) == sent


def test_a_redirect_to_somebody_else(place: Place, signer: Signer, tmp_path: Path) -> None:
    """What is for the archive is not sent to where it redirects."""
    with Archive(tmp_path / "elsewhere", signer) as other:
        other.publish()
        name = "/dists/bookworm/InRelease"
        place.archive.elsewhere[name] = f"{other.url.replace('127.0.0.1', 'localhost')}{name}"
        address = Address(place.canary.into(place.archive.url))
        assert Mirror().get(address / name.lstrip("/"), limit=1 << 20).body
        assert place.archive.authorizations[-1] and other.authorizations == [""]


@pytest.mark.parametrize("part", ["user", "password"])
def test_credentials_that_would_be_other_words_of_apts_file(place: Place, part: str) -> None:
    """White space ends a word there: "a machine evil login …"."""
    both = {"user": "a", "password": "b"} | {part: "a%20machine%20evil.example%20login%20b"}
    address = Address("http://{user}:{password}@apt.example.org/debian".format(**both))
    with pytest.raises(UsageError, match="that apt cannot use") as caught:
        credentials.write(place.directory, [address])
    assert "evil" not in f"{caught.value} {caught.value.details} {caught.value.hint}"


# -- a night ----------------------------------------------------------------------------


@pytest.mark.needs("aptly")
def test_a_night(tmp_path: Path, signer: Signer, canary: Canary) -> None:
    """One release is published, the other's archive does not take the password any more."""
    with (
        Distro(tmp_path, signer, "bookworm") as good,
        Distro(tmp_path, signer, "trixie") as bad,
    ):
        dsc = make_source(tmp_path / "made")
        for each in (good, bad):
            each.now_has(dsc)
            each.wanted = canary.pair
        release = replace(BOOKWORM, codename="bookworm")
        standin.make(tmp_path / "prepared/bookworm_6.1.0-3", dsc, release)
        begun = nights.begin(
            tmp_path,
            [],
            Cache(tmp_path / "cache"),
            standin.runner(tmp_path / "prepared"),  # type: ignore[arg-type]
            releases=["bookworm", "trixie"],
            more="".join(
                nights.RELEASE.format(name=d.name, url=canary.into(d.url), keyring=d.trusted)
                for d in (good, bad)
            ),
        )
        bad.wanted = "somebody:else"
        path = tmp_path / "respin.toml"
        path.chmod(0o600)
        hook = tmp_path / "auth.conf"
        hook.write_text(canary.into("http://127.0.0.1:1") + f"/{canary.password.rstrip('/@#')}")
        hook.chmod(0o600)
        notes: list[str] = []
        settings = begun.world.settings
        found = config.load(path)
        notify = replace(settings.notify, webhook_file=hook)
        nightly = replace(found.nightly, notify=notify)
        done = begun.night(
            0,
            config=replace(found, nightly=nightly),
            note=lambda target, text: notes.append(f"{target}: {text}"),
        )
        assert "bookworm" in done.published and done.code == 10
        assert any("trixie: 127.0.0.1" in note for note in notes)
        assert any("the webhook could not be reached" in note for note in notes)
        said = [
            inprocess.respin(*args, "--config", path, env={"RESPIN_CACHE": str(tmp_path / "cache")})
            for args in (("status",), ("status", "--json"), ("history",), ("history", "--json"))
        ]
    assert all(each.status == 0 for each in said), said
    page = begun.page()
    assert "trixie" in page and "127.0.0.1" in page
    canary.nowhere(*notes, *(f"{each.out}{each.err}" for each in said), page)
    places = [tmp_path / name for name in ("state", "cache", "letters", "prepared")]
    canary.nowhere(*places, but=HELD)
