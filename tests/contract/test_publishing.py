# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishing: what is proven and nothing else, changed in one step, read by a real apt."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from debian import deb822
from support import fixpage, inprocess, ownpatches, packages, sealed, standin
from support.archive import Signer
from support.services import Service

from pipeline.archives import openpgp
from pipeline.config.nightly import Publishing
from pipeline.errors import NotVerified, PublishError, UsageError
from pipeline.fixes import own_fix, own_patch
from pipeline.fixes.fixes import all_fixes
from pipeline.host.cache import Cache, file_sha256
from pipeline.model import AptSource, Release
from pipeline.nightly.state import State
from pipeline.nightly.targets import Target
from pipeline.nightly.watch import watch
from pipeline.publish import apt_repository, dput, generations, keys
from pipeline.publish.apt_repository import Repository
from pipeline.publish.keys import Key
from pipeline.publish.verified_run import Proven, proven
from pipeline.releases.releases import USUAL
from pipeline.runs import lockfile, lockfile_reader, rebuild
from pipeline.runs.lockfile import LockedFix, LockedPatch
from pipeline.runs.request import Request
from pipeline.runs.sealed import seal
from pipeline.text.address import Address

pytestmark = pytest.mark.needs("aptly")

RELEASE = Release(distro="debian", codename="bookworm", version="12")
SETTINGS = Publishing()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return keys.init(tmp_path_factory.mktemp("state"), SETTINGS.origin)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run directories of 6.1.0-3, twice, and of 6.1.0-4, by our version."""
    top, found = tmp_path_factory.mktemp("runs"), {}
    for version, number in (("6.1.0-3", 1), ("6.1.0-3", 2), ("6.1.0-4", 1)):
        ours = f"{version}+bpf{number}"
        dsc = packages.make_source(top / f"made{ours}", version=version)
        found[ours] = standin.make(top / ours, dsc, RELEASE, number=number)
    return found


@pytest.fixture
def repository(tmp_path: Path, key: Key) -> Repository:
    return Repository(
        public=tmp_path / "public",
        target="bookworm",
        architectures=("amd64",),
        key=key,
        settings=SETTINGS,
    )


def put(repository: Repository, offers: Sequence[Proven], archive: Sequence[str]) -> bool:
    """Publish, with a state beside the served directory that remembers it."""
    with State(repository.public.parent / "memory", create=True) as state:
        return apt_repository.publish(
            repository, offers, archive, memory=state, now=int(time.time())
        )


def current(repository: Repository) -> str:
    return generations.current(repository.link)


def listed(repository: Repository) -> list[str]:
    path = repository.link / "dists/bookworm/main/binary-amd64/Packages"
    found = deb822.Packages.iter_paragraphs(path.read_text(), use_apt_pkg=False)
    return sorted(p["Version"] for p in found if p["Package"] == "iproute2")


def test_what_is_offered_is_what_was_asked_for(
    repository: Repository, directories: dict[str, Path]
) -> None:
    offers = [proven(directory) for directory in directories.values()]
    assert put(repository, [], [])
    assert listed(repository) == []
    assert put(repository, offers, ["6.1.0-3", "6.1.0-4"])
    assert listed(repository) == sorted(directories)
    before = current(repository)
    # The same again is no change, and yet signed anew.
    assert not put(repository, offers, ["6.1.0-4"])
    assert current(repository) != before and listed(repository) == sorted(directories)
    before = current(repository)
    # Less than before is a new state, too: clients refuse an index with an older date.
    assert put(repository, offers[:1], ["6.1.0-3"])
    assert put(repository, offers, ["6.1.0-4"])
    serials = [before.rpartition("-")[2], current(repository).rpartition("-")[2]]
    assert int(serials[1]) == int(serials[0]) + 2


def test_a_client_in_between_finds_what_it_was_promised(
    repository: Repository, directories: dict[str, Path]
) -> None:
    """By hash and in the pool; and after one more change it is gone."""
    one, two, three = (proven(directory) for directory in directories.values())

    def promised() -> set[str]:
        found = [*repository.link.rglob("by-hash/*/*"), *(repository.link / "pool").rglob("*.deb")]
        return {str(p.relative_to(repository.link)) for p in found}

    put(repository, [one], ["6.1.0-3"])
    first = promised()
    put(repository, [two], ["6.1.0-3"])
    assert first < promised() and listed(repository) == ["6.1.0-3+bpf2"]
    put(repository, [two], ["6.1.0-3"])
    assert first < promised()  # signed anew, and no other change
    put(repository, [two, three], ["6.1.0-3", "6.1.0-4"])
    assert not first <= promised()
    left = {p.name for p in repository.store.iterdir()}
    assert len(left) == 2 and current(repository) in left


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (["6.1.0-3", "6.1.0-3+b1"], ""),
        (["6.1.0-3", "6.1.0-3+deb12u1"], ""),
        (["6.1.0-3", "6.1.0-3+a1"], "would hide 6.1.0-3+a1"),
        (["6.1.0-3", "6.1.0-3+bpf9"], "would not replace 6.1.0-3+bpf9"),
    ],
)
def test_the_law_is_held_against_the_archive(
    repository: Repository, directories: dict[str, Path], archive: list[str], words: str
) -> None:
    offers = [proven(directories["6.1.0-3+bpf1"])]
    if not words:
        assert put(repository, offers, archive)
        return
    with pytest.raises(PublishError, match=words.replace("+", r"\+")):
        put(repository, offers, archive)
    assert current(repository) == ""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


FAULTS: dict[str, Callable[[Path], object]] = {
    "a package changed": lambda f: next(f.glob("debs/*.deb")).write_bytes(b"!"),
    "a package gone": lambda f: next(f.glob("debs/*.deb")).unlink(),
    "the source changed": lambda f: edit(next(f.glob("patched/*.dsc")), "Test", "Tost"),
    "the tarball changed": lambda f: next(f.glob("patched/*.orig.tar.gz")).write_bytes(b"!"),
    "nothing proven": lambda f: edit(f / "report.json", '"ok": true', '"ok": false'),
    "nothing built": lambda f: edit(
        f / "report.json", '"outcome": "fixed"', '"outcome": "patched"'
    ),
    "a path outside": lambda f: edit(f / "report.json", '"path": "debs/', '"path": "../debs/'),
    "half a report": lambda f: (f / "report.json").write_text(
        '{"tool": "iproute2-respin", "schema": 1}'
    ),
}
NO_RUN: dict[str, Callable[[Path], object]] = {
    "no report": lambda f: (f / "report.json").unlink(),
    "another's report": lambda f: (f / "report.json").write_text("{}"),
    "a list": lambda f: (f / "report.json").write_text("[]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_whole_is_not_published(fault: str, tmp_path: Path) -> None:
    dsc = packages.make_source(tmp_path / "made")
    directory = standin.make(tmp_path / "run", dsc, RELEASE)
    assert proven(directory).version == "6.1.0-3+bpf1"
    FAULTS[fault](directory)
    with pytest.raises(PublishError):
        proven(directory)


@pytest.mark.parametrize("fault", NO_RUN)
def test_what_is_no_run_directory_is_said_to_be_none(fault: str, tmp_path: Path) -> None:
    directory = standin.make(tmp_path / "run", packages.make_source(tmp_path / "made"), RELEASE)
    NO_RUN[fault](directory)
    with pytest.raises(
        UsageError, match=r"is not the directory of a run|this version of respin cannot read"
    ):
        proven(directory)


def test_a_report_that_was_written_anew_is_not_the_one_of_the_run(
    directories: dict[str, Path],
) -> None:
    with pytest.raises(PublishError, match="has changed since its run"):
        proven(directories["6.1.0-3+bpf1"], "0" * 64)


def test_a_failure_leaves_what_was_there(
    repository: Repository, directories: dict[str, Path], tmp_path: Path
) -> None:
    one, two, _ = (proven(directory) for directory in directories.values())
    put(repository, [one], ["6.1.0-3"])
    before = current(repository)
    nobody = replace(repository.key, fingerprints=("0" * 40,))
    with pytest.raises(PublishError, match="there is no key 0000"):
        put(replace(repository, key=nobody), [one, two], ["6.1.0-3"])
    spoilt = tmp_path / two.files[0].path.name
    spoilt.write_bytes(b"!")
    bad: Proven = replace(two, files=(replace(two.files[0], path=spoilt), *two.files[1:]))
    with pytest.raises(PublishError, match="has changed since its run"):
        put(repository, [one, bad], ["6.1.0-3"])
    assert current(repository) == before and listed(repository) == ["6.1.0-3+bpf1"]
    assert [p.name for p in repository.store.iterdir()] == [before]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        """Note what is asked for, and say nothing."""
        self.asked.append(self.path)


@pytest.fixture
def served(repository: Repository) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(repository.public))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/bookworm"
        server.shutdown()
        thread.join()


def test_apt_over_http(
    repository: Repository, directories: dict[str, Path], served: str, tmp_path: Path
) -> None:
    """In a private root: packages and source, verified by the published key, pinned."""
    put(repository, [proven(f) for f in directories.values()], ["6.1.0-3", "6.1.0-4"])
    root = tmp_path / "apt"
    etc = ("etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d")
    for name in (
        *etc,
        "var/lib/dpkg",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
    ):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    sources = (repository.link / "iproute2-respin.sources").read_text()
    sources = sources.replace("http://localhost/respin/bookworm", served)
    keyring = repository.link / "iproute2-respin.asc"
    sources = sources.replace("/usr/share/keyrings/iproute2-respin.asc", str(keyring))
    (root / "etc/apt/sources.list.d/ours.sources").write_text(sources)
    pref = (repository.link / "iproute2-respin.pref").read_text()
    (root / "etc/apt/preferences.d/ours.pref").write_text(pref)
    options = {
        "Dir": root,
        "Dir::Etc": "etc/apt",
        "Dir::State": "var/lib/apt",
        "Dir::State::status": root / "var/lib/dpkg/status",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    conf = tmp_path / "apt.conf"
    conf.write_text("".join(f'{k} "{v}";\n' for k, v in options.items()))

    def apt(*argv: str, ok: bool = True) -> str:
        done = subprocess.run(
            argv,
            env={"APT_CONFIG": str(conf), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "by-hash" in apt("apt-get", "update", "-o", "Debug::Acquire::http=1")
    assert "Candidate: 6.1.0-4+bpf1" in apt("apt-cache", "policy", "iproute2")
    apt("apt-get", "download", "iproute2")
    assert (tmp_path / "iproute2_6.1.0-4+bpf1_amd64.deb").exists()
    apt("apt-get", "source", "--download-only", "iproute2=6.1.0-3+bpf2")
    assert (tmp_path / "iproute2_6.1.0-3+bpf2.dsc").exists()
    # Nothing but iproute2 is taken from here.
    (root / "etc/apt/preferences.d/ours.pref").write_text(pref.replace("iproute2 ", "other "))
    assert "Candidate: (none)" in apt("apt-cache", "policy", "iproute2")
    with Signer("other") as other:
        spoilt = sources.replace(str(keyring), str(other.keyring))
        (root / "etc/apt/sources.list.d/ours.sources").write_text(spoilt)
        said = apt("apt-get", "update", "--error-on=any", ok=False)
        # gpgv says the first, Debian 13's sqv the second.
        assert re.search("NO_PUBKEY|Missing key", said)


def test_our_own_watch_reads_it_by_hash(
    repository: Repository, directories: dict[str, Path], served: str
) -> None:
    """As it reads any archive that offers its lists by hash; and nothing else is asked for."""
    put(repository, [proven(f) for f in directories.values()], ["6.1.0-3", "6.1.0-4"])
    source = AptSource(
        uri=Address(served),
        suites=("bookworm",),
        components=("main",),
        keyring=repository.link / "iproute2-respin.asc",
    )
    target = Target(name="bookworm", release=RELEASE, pockets=USUAL)
    _Quiet.asked.clear()
    (view,) = watch([target], lambda _: [source], {}, package="iproute2", now=datetime.now(UTC))
    assert sorted(s.version for s in view.sightings) == sorted(directories), view.error
    dscs = {file.sha256 for f in directories.values() for file in proven(f).files}
    assert {s.dsc for s in view.sightings} <= dscs
    first, second = _Quiet.asked
    assert first == "/bookworm/dists/bookworm/InRelease"
    assert second.startswith("/bookworm/dists/bookworm/main/source/by-hash/SHA256/")


def test_one_key_is_made_and_kept(tmp_path: Path) -> None:
    """Also in a directory whose path is too long for a socket."""
    state = tmp_path / ("x" * 60) / ("y" * 60)
    made = keys.init(state, "ours")
    assert keys.find(state, SETTINGS) == made
    assert made.clearsign(b"text\n").startswith(b"-----BEGIN PGP SIGNED MESSAGE-----")
    with pytest.raises(UsageError, match="already contains a key"):
        keys.init(state, "ours")
    with pytest.raises(UsageError, match="there is no key"):
        keys.find(tmp_path / "elsewhere", SETTINGS)
    assert (state / keys.HOME).stat().st_mode & 0o777 == 0o700


def test_a_key_of_the_users_with_a_passphrase(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="respin-home-"))
    secret = tmp_path / "passphrase"
    secret.write_text("a secret\n")
    gpg = ("gpg", "--batch", "--quiet", "--homedir", home, "--pinentry-mode", "loopback")
    new = ("--passphrase", "a secret", "--quick-generate-key", "me", "ed25519", "sign")
    subprocess.run([*gpg, *new], check=True, capture_output=True)
    said = subprocess.run([*gpg, "--with-colons", "-K"], check=True, capture_output=True, text=True)
    fingerprint = next(li.split(":")[9] for li in said.stdout.splitlines() if li[:3] == "fpr")
    settings = Publishing(key=(fingerprint,), gnupg_home=home, passphrase_file=secret)
    try:
        assert b"BEGIN PGP SIGNATURE" in keys.find(tmp_path, settings).detach(b"data")
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
        secret.write_text("another\n")
        with pytest.raises(PublishError, match="could not sign") as caught:
            keys.find(tmp_path, settings).detach(b"data")
        assert "another" not in caught.value.details
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
        keys_left = sorted(p.name for p in home.iterdir())
        assert "private-keys-v1.d" in keys_left
        subprocess.run(["rm", "-rf", home], check=True)


@pytest.mark.needs("dput")
@pytest.mark.needs("debsign")
def test_a_source_upload_to_a_farm(
    directories: dict[str, Path], tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (tmp_path / ".dput.cf").write_text(
        f"[farm]\nmethod = local\nincoming = {incoming}\nallow_unsigned_uploads = 0\n"
        "run_dinstall = 0\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GNUPGHOME", str(key.home))
    directory = shutil.copytree(directories["6.1.0-3+bpf1"], tmp_path / "run")
    ring = openpgp.binary(key.public())
    with pytest.raises(PublishError, match="nobody who is trusted here vouches"):
        dput.dput(directory, "farm", trusted=[ring], key=key.name)
    sealed.seal(directory, key)
    before = sorted((p, p.stat().st_mtime_ns) for p in directory.rglob("*"))
    sent = dput.dput(directory, "farm", trusted=[ring], key=key.name, distribution="bookworm")
    assert sent == "6.1.0-3+bpf1"
    names = {p.name for p in incoming.iterdir()}
    assert names == {
        "iproute2_6.1.0-3+bpf1.dsc",
        "iproute2_6.1.0-3+bpf1.debian.tar.xz",
        "iproute2_6.1.0.orig.tar.gz",
        "iproute2_6.1.0-3+bpf1_source.buildinfo",
        "iproute2_6.1.0-3+bpf1_source.changes",
    }
    changes = incoming / "iproute2_6.1.0-3+bpf1_source.changes"
    public = tmp_path / "key.asc"
    public.write_bytes(key.public())
    signed = openpgp.check(changes.read_bytes(), public)
    assert signed.signers == key.fingerprints
    fields = deb822.Changes(signed.content)
    assert (fields["Distribution"], fields["Architecture"]) == ("bookworm", "source")
    assert {each["name"] for each in fields["Checksums-Sha256"]} == names - {changes.name}
    assert before == sorted((p, p.stat().st_mtime_ns) for p in directory.rglob("*"))
    with pytest.raises(PublishError, match="dput"):
        dput.dput(directory, "nowhere", trusted=[ring], key=key.name)
    subprocess.run(["gpgconf", "--homedir", str(key.home), "--kill", "gpg-agent"], check=True)


# -- what was made with patches and fixes of the user's own -----------------------------------


@pytest.fixture
def own(key: Key, tmp_path: Path) -> Path:
    """Return a run with a patch and a fix of the user's own, signed."""
    dsc = packages.make_source(tmp_path / "made", version="6.1.0-3")
    run = standin.make(tmp_path / "run", dsc, RELEASE)
    patches = own_patch.read_all([], [ownpatches.write(tmp_path, ownpatches.GOOD)])
    fix = own_fix.read(fixpage.write(tmp_path), Cache(tmp_path / "cache"))
    before = lockfile_reader.read(run / lockfile.NAME)
    lock = replace(
        before,
        fixes=(*before.fixes, fix.name),
        patches=tuple(LockedPatch(name=p.name, sha256=p.sha256, optional=False) for p in patches),
        own_fixes=(LockedFix(name=fix.name, sha256=lockfile.content_of(fix)),),
    )
    lockfile.write(lock, run, patches, [fix])
    seal(run, fixes=(*all_fixes(), fix), signer=key, begun=datetime.now(UTC))
    return run


def test_a_package_is_made_again_with_what_is_beside_it(
    repository: Repository, own: Path, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the repository alone; what is missing there, or was changed, is named."""
    assert put(repository, [proven(own)], ["6.1.0-3"])
    (tmp_path / "key.asc").write_bytes(key.public())
    made: list[Request] = []

    def again(request: Request, place: Path, journal: object) -> rebuild.Rebuilt:
        made.append(request)
        return rebuild.Rebuilt(files={p.name: file_sha256(p) for p in debs}, directory=place)

    debs = list((own / "debs").glob("*.deb"))
    monkeypatch.setattr(rebuild, "again", again)
    words = ("--rebuild", "--key", tmp_path / "key.asc", "--cache", tmp_path / "cache")
    (pool,) = {path.parent for path in repository.link.rglob("iproute2_*.deb")}
    (deb,) = pool.glob("iproute2_*.deb")
    for what in ("directory", "service"):
        with Service() as service:
            for path in pool.rglob("*"):
                if path.is_file():
                    service.put(f"/pool/{path.relative_to(pool)}", path.read_bytes())
            given = deb if what == "directory" else f"{service.url}/pool/{deb.name}"
            said = inprocess.respin("verify", given, *words)
            assert said.status == 0, said.err
            assert [p.content.decode() for p in made[-1].patches] == [ownpatches.GOOD]
            assert [fix.name for fix in made[-1].fixes if fix.own] == [fixpage.NAME]
    assert len(made) == 2

    name = f"{deb.stem}.user-patches/mine.patch"
    with Service() as service:
        for path in pool.rglob("*"):
            if path.is_file():
                service.put(f"/pool/{path.relative_to(pool)}", path.read_bytes())
        given = f"{service.url}/pool/{deb.name}"
        service.put(f"/pool/{name}", ownpatches.OTHER.encode())
        said = inprocess.respin("verify", given, *words)
        assert said.status == 19 and f"{name} is not what the run had" in " ".join(said.err.split())
        service.answers.pop(f"/pool/{name}")
        said = inprocess.respin("verify", given, *words)
        assert said.status == 19, said.err
        assert "the repository does not have user-patches/mine.patch" in " ".join(said.err.split())
        # Without --rebuild nothing of it is needed.
        assert inprocess.respin("verify", given, *words[1:3]).status == 0
    (pool / name).write_text(ownpatches.OTHER)
    said = inprocess.respin("verify", deb, *words)
    assert said.status == 10 and "user-patches/mine.patch has other content" in said.err
    assert len(made) == 2


def test_a_patch_that_was_changed_is_not_published(repository: Repository, own: Path) -> None:
    (own / "user-patches/mine.patch").write_text(ownpatches.OTHER)
    with pytest.raises(PublishError, match=r"mine\.patch has changed since its run"):
        proven(own)


@pytest.mark.parametrize(
    "name", ["user-patches/../../../x", "user-fixes//x", "user-patches/./x", "user-fixes/a\0b"]
)
def test_a_name_that_leads_out_of_its_directory(name: str) -> None:
    with pytest.raises(NotVerified, match="cannot have left"):
        lockfile.own_names(["report.json", name])
