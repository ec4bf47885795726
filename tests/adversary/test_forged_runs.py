# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody gives respin packages or a directory that are not what they claim to be.

Packages that were built elsewhere go to ``respin prove --debs``, a run's directory to ``respin
publish``. The result is signed and installed on routers. So respin takes a report, a .changes or a
.buildinfo for a stranger's claim; and a directory may contain a link to one of our files.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import onerelease, packages, sealed, standin
from support.filled import filled
from support.onerelease import Here

from pipeline.build.prebuilt import adopt
from pipeline.errors import BuildError, FetchError, NotVerified, PublishError
from pipeline.host.cache import Cache, file_sha256
from pipeline.model import Patched, Release, Source
from pipeline.proof import check, envelope, manifest, statements
from pipeline.publish import dput, verified_run
from pipeline.runs import earlier, report, report_reader, single_stage
from pipeline.runs.building import Building
from pipeline.runs.inputs import Inputs
from pipeline.runs.proving import Proving
from pipeline.runs.report import Outcome
from pipeline.runs.request import Request

RELEASE = Release(distro="debian", codename="bookworm", version="12")
OURS = "6.1.0-1+bpf1"
GOLDEN = Path(__file__).parents[1] / "golden/fixes"

# -- packages that were built elsewhere ---------------------------------------------------


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a patched source, and in ``debs`` what was built of it."""
    top = tmp_path_factory.mktemp("honest")
    packages.make_source(top / "patched", version=OURS)
    (top / "debs").mkdir()
    packages.make_deb(top / "debs", "iproute2", OURS, architecture="amd64")
    packages.make_upload(top / "debs", top / f"patched/iproute2_{OURS}.dsc")
    return top


@pytest.fixture
def given(honest: Path, tmp_path: Path) -> Path:
    """Return a copy of it, for somebody to forge."""
    return shutil.copytree(honest, tmp_path / "given")


def taken(given: Path, dest: Path) -> tuple[str, ...]:
    """Take the packages; return what is not verified."""
    source = filled(Source, name="iproute2", version="6.1.0-1", release=RELEASE)
    dsc = given / f"patched/iproute2_{OURS}.dsc"
    patched = filled(Patched, source=source, version=OURS, dsc=dsc)
    return adopt(patched, given / "debs", dest)[1]


def _info(given: Path) -> Path:
    return given / f"debs/iproute2_{OURS}_amd64.buildinfo"


def _said(given: Path, change: Callable[[str], str]) -> None:
    """Let the .buildinfo say something else, and the .changes list that one."""
    path = _info(given)
    text = change(path.read_text())
    changes = path.with_suffix(".changes")
    old = packages.sums([path])
    path.write_text(text)
    new = packages.sums([path])
    changes.write_text(changes.read_text().replace(old.splitlines()[1], new.splitlines()[1]))


def _zeroed(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(f" {'0' * 64}{li[65:]}" if li[65:66] == " " else li for li in lines)


def _another(given: Path, **changes: str) -> None:
    """Put another package in the place of the one that was built, in all that is said of it."""
    directory = given / "debs"
    shutil.rmtree(directory)
    directory.mkdir()
    name, version, fields = "iproute2", changes.pop("version", OURS), dict(changes)
    named = fields.pop("name", name)
    deb = packages.make_deb(directory, named, version, architecture="amd64", fields=fields)
    if "file" in fields:
        deb.rename(directory / fields["file"])
    packages.make_upload(directory, given / f"patched/iproute2_{OURS}.dsc")


def _other_source(given: Path) -> None:
    other = packages.make_source(given / "other", version=OURS, files={"README": "a backdoor\n"})
    packages.make_upload(given / "debs", other)


def _two_infos(given: Path) -> None:
    more = given / "debs/more.buildinfo"
    shutil.copy(_info(given), more)
    changes = _info(given).with_suffix(".changes")
    changes.write_text(changes.read_text() + packages.sums([more]).splitlines()[1] + "\n")


def _swapped(given: Path) -> None:
    """Build a package anew, and list it in the .changes alone."""
    info = _info(given).read_bytes()
    _another(given, Homepage="a backdoor")
    _said(given, lambda _: info.decode())


def _link(given: Path) -> None:
    deb = next((given / "debs").glob("*.deb"))
    deb.rename(given / "elsewhere.deb")
    deb.symlink_to(given / "elsewhere.deb")
    os.mkfifo(given / "fifo")
    _info(given).unlink()
    _info(given).symlink_to(given / "fifo")


FORGED: dict[str, Callable[[Path], object]] = {
    "hashes that are zero": lambda g: _said(g, _zeroed),
    "another source": _other_source,
    "another version": lambda g: _another(g, version="6.1.0-1+bpf2"),
    "a package of another source": lambda g: _another(g, Source="bash"),
    "a package of the same source at another version": lambda g: _another(
        g, Source="iproute2 (6.1.0-9)"
    ),
    "a package that the source does not make": lambda g: _another(g, name="bash"),
    "a package under the name of another": lambda g: _another(g, file=f"iproute2_{OURS}_arm64.deb"),
    "two files that say how it was built": _two_infos,
    "a package that was swapped after the build": _swapped,
    "a .buildinfo of another source": lambda g: _said(
        g, lambda t: t.replace("Source: iproute2", "Source: bash")
    ),
    "a .buildinfo that lists no package": lambda g: _said(
        g, lambda t: "".join(li for li in t.splitlines(keepends=True) if ".deb" not in li)
    ),
    "a .buildinfo that nobody writes to": _link,
}


@pytest.mark.attack
@pytest.mark.parametrize("forged", FORGED)
def test_packages_that_contradict_what_is_said_of_them(
    given: Path, forged: str, tmp_path: Path
) -> None:
    assert taken(given, tmp_path / "control") == ()
    FORGED[forged](given)
    with pytest.raises(BuildError):
        taken(given, tmp_path / "taken")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the archive and the guest do without any."""
    image = SimpleNamespace(packages=None)
    monkeypatch.setattr(Inputs, "archive", SimpleNamespace(trust=lambda: (), architecture="amd64"))
    monkeypatch.setattr(Inputs, "control", lambda inputs, source: source.files[:1])
    monkeypatch.setattr(Proving, "prepare_guest", lambda proving: image)
    monkeypatch.setattr(Proving, "smoke", lambda proving, *_: standin.smoked())


@pytest.mark.attack
@pytest.mark.parametrize("named", [True, False], ids=["control", "not named"])
@pytest.mark.usefixtures("stages")
def test_packages_that_nobody_says_were_built_of_the_patched_source(
    tmp_path: Path, named: bool
) -> None:
    """They load; that is all that is proven, and so it is not published."""
    dsc = packages.make_source(tmp_path / "made", version="6.1.0-1")
    run = standin.make(tmp_path / "run", dsc, RELEASE)
    patched = report_reader.read(run).patched
    assert patched
    debs = shutil.copytree(run / "debs", tmp_path / "debs")
    packages.make_upload(debs, patched.dsc, info_dsc=named)
    request = Request(release=RELEASE, fixes=(), cache=Cache(tmp_path / "cache"))
    done = single_stage.prove_only(request, run, debs, tmp_path / "proven")
    assert done.outcome is (Outcome.FIXED if named else Outcome.PROVEN)
    values = json.loads((tmp_path / "proven/report.json").read_text())
    assert len(values["unverified"]) == (0 if named else 1)
    assert named or patched.dsc.name in values["unverified"][0]
    # Proving it again proves no more.
    again = single_stage.prove_only(request, tmp_path / "proven", None, tmp_path / "again")
    assert again.outcome is done.outcome and again.unverified == done.unverified


@pytest.mark.attack
@pytest.mark.parametrize("who", ["the same", "trusted", "a stranger", "nobody"])
@pytest.mark.usefixtures("stages")
def test_a_run_of_somebody_else_is_not_signed_as_ours(tmp_path: Path, who: str) -> None:
    """Its packages may have a back door; our key would say that our builder made them."""
    own, ring = sealed.key(tmp_path / "own")
    other, other_ring = (own, ring) if who == "the same" else sealed.key(tmp_path / "other")
    run = sealed.run(tmp_path / "run", None if who == "nobody" else other)
    trusted = (ring, other_ring) if who == "trusted" else (ring,)
    request = Request(
        release=RELEASE, fixes=(), cache=Cache(tmp_path / "cache"), signer=own, trusted=trusted
    )
    ours = who in ("the same", "trusted")
    out = tmp_path / "proven"
    done = single_stage.prove_only(request, run, None, out)
    assert done.outcome is (Outcome.FIXED if ours else Outcome.PROVEN)
    proof = check.directory(out, [ring])
    assert (statements.PROVENANCE in proof.statements) is ours
    assert (earlier.UNVOUCHED in done.unverified) is not ours
    with contextlib.nullcontext() if ours else pytest.raises(PublishError, match="is proven"):
        verified_run.proven(out)
    # The second time it is our own run, and no more is known of the packages.
    again = single_stage.prove_only(request, out, None, tmp_path / "again")
    assert (again.outcome, again.unverified) == (done.outcome, done.unverified)
    proof = check.directory(tmp_path / "again", [ring])
    assert (statements.PROVENANCE in proof.statements) is ours
    assert {Path(name).suffix for name in proof.subjects(statements.TESTED)} == {".deb"}


@pytest.mark.attack
@pytest.mark.usefixtures("stages")
def test_what_was_changed_after_it_was_signed_is_not_ours(tmp_path: Path) -> None:
    own, ring = sealed.key(tmp_path / "own")
    run = sealed.run(tmp_path / "run", own)
    _package(run, Homepage="a backdoor")
    request = Request(
        release=RELEASE, fixes=(), cache=Cache(tmp_path / "cache"), signer=own, trusted=(ring,)
    )
    done = single_stage.prove_only(request, run, None, tmp_path / "proven")
    assert done.outcome is Outcome.PROVEN and earlier.UNVOUCHED in done.unverified
    proof = check.directory(tmp_path / "proven", [ring])
    assert statements.PROVENANCE not in proof.statements


@pytest.mark.attack
@pytest.mark.usefixtures("stages")
def test_packages_that_were_built_elsewhere_are_not_said_to_be_made_by_us(tmp_path: Path) -> None:
    own, ring = sealed.key(tmp_path / "own")
    run = sealed.run(tmp_path / "run", own)
    patched = report_reader.read(run).patched
    assert patched
    debs = shutil.copytree(run / "debs", tmp_path / "debs")
    packages.make_upload(debs, patched.dsc)
    request = Request(
        release=RELEASE, fixes=(), cache=Cache(tmp_path / "cache"), signer=own, trusted=(ring,)
    )
    for source, given in ((run, debs), (tmp_path / "proven", None)):
        out = tmp_path / ("again" if given is None else "proven")
        done = single_stage.prove_only(request, source, given, out)
        assert done.outcome is Outcome.FIXED and done.unverified == ()
        proof = check.directory(out, [ring])
        assert proof.statements.keys() == {statements.TESTED, statements.RUN}
        # What is proven of them can still be verified.
        (deb,) = (out / "debs").glob("iproute2_*.deb")
        assert check.package(deb, out / envelope.NAME, [ring]).signers == own.fingerprints


@pytest.mark.attack
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed"])
@pytest.mark.parametrize("directory", ["source", "patched"])
def test_a_tarball_that_its_dsc_does_not_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str, signed: bool
) -> None:
    """The report has the SHA-256 of the .dsc alone, and dpkg-source --no-check reads the rest."""
    own, ring = sealed.key(tmp_path / "own")
    run = sealed.run(tmp_path / "run", own)
    begun: list[Path] = []

    def build(building: Building, environment: object, patched: Patched) -> None:
        begun.append(patched.dsc)
        raise BuildError("made up")

    monkeypatch.setattr(
        Inputs, "archive", SimpleNamespace(trust=lambda: (), check_architecture=lambda: None)
    )
    monkeypatch.setattr(Inputs, "check_architecture", lambda inputs: None)
    monkeypatch.setattr(Building, "check_engine", lambda building: None)
    monkeypatch.setattr(Building, "prepare", lambda building, source: None)
    monkeypatch.setattr(Building, "build", build)
    request = Request(
        release=RELEASE,
        fixes=(),
        cache=Cache(tmp_path / "cache"),
        signer=own if signed else None,
        trusted=(ring,),
    )
    with pytest.raises(BuildError):
        single_stage.build_only(request, run, tmp_path / "built")
    assert begun.pop()
    for path in (run / directory).glob("*.tar.*"):
        path.write_bytes(b"a backdoor, not what the .dsc lists")
    with pytest.raises(FetchError, match=r"but .*\.dsc lists"):
        single_stage.build_only(request, run, tmp_path / "built")
    assert not begun


@pytest.mark.attack
@pytest.mark.parametrize("when", range(3))
def test_a_directory_that_changes_after_it_was_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """What is uploaded in our name is what was signed; ``when`` 0 is the control."""
    own, ring = sealed.key(tmp_path / "own")
    run = sealed.run(tmp_path / "run", own)
    (tarball,) = (run / "patched").glob("*.orig.tar.*")
    good, calls = tarball.read_bytes(), []
    look = verified_run.vouched

    def vouched(directory: Path, trusted: Sequence[bytes]) -> None:
        look(directory, trusted)
        calls.append(directory)
        if len(calls) == when:
            tarball.write_bytes(b"a backdoor")

    sent: list[bytes] = []

    def take(work: Path, *_: str, at: str = ".") -> None:
        sent.append((work / tarball.name).read_bytes())
        raise PublishError("made up")

    monkeypatch.setattr(verified_run, "vouched", vouched)
    monkeypatch.setattr(dput, "_read", take)
    with pytest.raises(PublishError) as e:
        dput.dput(run, "farm", trusted=[ring])
    assert set(sent) <= {good}
    assert sent if when != 1 else "bytes, but" in e.value.brief, e.value


# -- the directory of a run ------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A release that needs nothing, and the directory of a run that somebody has made of it."""
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1", good=False)
        assert begun.nights.night(0).code == 0
        shutil.rmtree(begun.directory / "prepared/bookworm_6.1.0-1")
        begun.prepare("6.1.0-1")
        yield begun


@pytest.fixture
def directory(here: Here) -> Path:
    """Return a copy of the directory, for somebody to forge."""
    return shutil.copytree(here.directory / "prepared/bookworm_6.1.0-1", here.directory / "forged")


def refused(here: Here, directory: Path, *, sign: bool = True) -> str:
    """Hold ``respin publish`` to refuse a directory, and to leave nothing of it.

    With ``sign``, a worker whose key is trusted here has signed what was forged, so that no other
    check is left to the one for the signature.
    """
    if sign:
        with contextlib.suppress(NotVerified, OSError, ValueError, KeyError, TypeError):
            here.seal(directory)

    def seen() -> dict[str, int]:
        state = here.nights.world.directory
        there = [*state.rglob("*"), *(state / "runs").rglob(".*")]
        return {
            str(p): p.lstat().st_nlink
            for p in there
            if not p.name.startswith(("state.sqlite", "lock")) and p.suffix != ".lock"
            if "gnupg" not in p.parts
        }

    before = seen()
    said = here.respin("publish", directory)
    assert (said.status, said.out) == (17, ""), said
    assert said.err.startswith("respin: ") and "Traceback" not in said.err
    assert seen() == before
    assert list(here.nights.offered("bookworm")) == []
    return said.err


@pytest.mark.attack
def test_the_control(here: Here, directory: Path) -> None:
    """What is as it says is published, and none of the made-up parts stands in the way."""
    said = here.respin("publish", directory)
    assert said.status == 0, said.err
    assert list(here.nights.offered("bookworm")) == [OURS]
    shown = {p.name for p in (here.nights.world.public / "runs").rglob("*") if p.is_file()}
    assert {"report.json", "build.log", envelope.NAME} <= shown
    assert f"runs/000002/{envelope.NAME}" in here.nights.page()
    # Clients find beside the package who vouches for it.
    (deb,) = (here.nights.world.public / "bookworm/pool").rglob("iproute2_*.deb")
    said = here.respin("verify", deb)
    assert said.status == 0 and "the new one loaded 1" in " ".join(said.out.split()), said
    assert deb.with_name(f"{deb.stem}.respin.lock").is_file()


@pytest.mark.attack
def test_a_directory_that_nobody_vouches_for(here: Here, directory: Path) -> None:
    """It is right in every other respect."""
    path = directory / envelope.NAME
    sealed.seal(directory, None)
    assert "is not signed, so nobody vouches" in refused(here, directory, sign=False)
    path.unlink()
    assert "nobody who is trusted here vouches" in refused(here, directory, sign=False)
    stranger, _ = sealed.key(directory.parent / "stranger")
    sealed.seal(directory, stranger)
    why = refused(here, directory, sign=False)
    assert "no trusted key has signed" in why and "keys under [trust]" in why
    assert "--key" not in why  # respin publish has that for debsign's
    here.seal(directory)
    (directory / "logs/build.log").write_text("not what the build said\n")
    assert "logs/build.log: has changed" in refused(here, directory, sign=False)
    # The key of that worker is trusted from now on.
    sealed.seal(directory, stranger)
    (here.directory / "worker.asc").write_bytes(stranger.public())
    with (here.directory / "respin.toml").open("a") as config:
        config.write('\n[trust]\nkeys = ["worker.asc"]\n')
    said = here.respin("publish", directory)
    assert said.status == 0, said.err


def _sparse(directory: Path) -> None:
    (directory / "logs/big.log").touch()
    os.truncate(directory / "logs/big.log", manifest.BYTES + 1)


def _many(directory: Path) -> None:
    for number in range(manifest.FILES):
        (directory / f"logs/{number}.log").touch()


def _deep(directory: Path) -> None:
    path = directory
    for _ in range(manifest.DEEPEST + 2):
        path /= "deeper"
    path.mkdir(parents=True)


def _file(directory: Path, mode: int) -> None:
    (directory / "logs/open.log").write_text("")
    (directory / "logs/open.log").chmod(mode)


def _added(directory: Path, deb: Path) -> None:
    """Say of a package that it was built, too."""

    def say(report: dict[str, Any]) -> None:
        debs = report["built"]["debs"]
        digest = packages.sums([deb]).split()[1]
        debs.insert(1, {**debs[0], "path": f"debs/{deb.name}", "sha256": digest})

    edit(directory, say)


def _put_link(path: Path, to: Path) -> None:
    """Put a link in the place of a file or a directory."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(to)


SECRETS: dict[str, Callable[[Path, Path], object]] = {
    "a link to a file": lambda f, secret: (f / "logs/x.log").symlink_to(secret),
    "a link in the place of a log": lambda f, secret: _put_link(f / "logs/build.log", secret),
    "a link in the place of all logs": lambda f, secret: _put_link(f / "logs", secret.parent),
    "a link in the place of a patch": lambda f, secret: (f / "patched/patches/x.patch").symlink_to(
        secret
    ),
    "a link to nothing": lambda f, _: (f / "logs/x.log").symlink_to("/nonexistent"),
    "another name of a file": lambda f, secret: os.link(secret, f / "logs/x.log"),
    "a pipe": lambda f, _: os.mkfifo(f / "logs/x.log"),
    "a file without end": lambda f, _: _sparse(f),
    "files without number": lambda f, _: _many(f),
    "directories without end": lambda f, _: _deep(f),
    "a file that every user may write": lambda f, _: _file(f, 0o666),
    "a directory that every user may write": lambda f, _: (f / "logs").chmod(0o777),
}


@pytest.mark.attack
@pytest.mark.parametrize("secret", SECRETS)
def test_a_directory_that_leads_elsewhere(here: Here, directory: Path, secret: str) -> None:
    """``logs/x -> /etc/shadow`` was served to the world."""
    victim = here.directory / "victims/secret.log"
    victim.parent.mkdir()
    victim.write_text("root:$6$secret")
    victim.chmod(0o600)
    SECRETS[secret](directory, victim)
    refused(here, directory)
    assert victim.stat().st_mode & 0o777 == 0o600
    for path in here.nights.world.directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b"$6$secret" not in path.read_bytes(), path


@pytest.mark.attack
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_directory_of_another_user(here: Here, directory: Path) -> None:
    os.chown(directory / "logs/build.log", 65534, 65534)
    assert "belongs to another user" in refused(here, directory)
    os.chown(directory / "logs/build.log", 0, 0)
    os.chown(directory / "logs", 65534, 65534)
    assert "belongs to another user" in refused(here, directory)


def edit(
    directory: Path, change: Callable[[dict[str, Any]], object], name: str = "report.json"
) -> None:
    path = directory / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def _backdoor(directory: Path) -> None:
    """Add to the patched source what no fix of ours adds, and all hashes with it."""
    old = directory / "patched" / f"iproute2_{OURS}.dsc"
    work = directory.parent / "backdoor"
    subprocess.run(["dpkg-source", "--no-check", "-x", old, work], check=True, capture_output=True)
    (work / "debian/backdoor").write_text("wget -O- evil\n")
    for path in (directory / "patched").glob("*.orig.tar.*"):
        shutil.copy(path, work.parent)
    subprocess.run(
        ["dpkg-source", "-b", work.name],
        cwd=work.parent,
        env=packages.ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    for path in work.parent.glob(f"iproute2_{OURS}.*"):
        if path.is_file():
            shutil.copy(path, directory / "patched")
    _again(directory)


def _again(directory: Path) -> None:
    """Let the report have the hashes of what is there now."""
    done = report_reader.read(directory)
    assert done.patched and done.built

    def now(artifact: Any) -> Any:
        path = artifact.path
        return replace(artifact, sha256=file_sha256(path), size=path.stat().st_size)

    built = replace(
        done.built,
        debs=tuple(map(now, done.built.debs)),
        changes=now(done.built.changes),
        buildinfo=now(done.built.buildinfo),
    )
    patched = replace(done.patched, sha256=file_sha256(done.patched.dsc))
    files = tuple(map(now, done.source.files))
    source = replace(done.source, files=files)
    report.write(replace(done, built=built, patched=patched, source=source), directory)


def _package(directory: Path, **fields: str) -> None:
    debs = directory / "debs"
    (deb,) = debs.glob("*.deb")
    deb.unlink()
    made = packages.make_deb(debs, "iproute2", OURS, architecture="amd64", fields=fields)
    shutil.rmtree(debs / f".iproute2-{OURS}")
    assert made == deb
    packages.make_upload(debs, directory / f"patched/iproute2_{OURS}.dsc", info_dsc=False)
    _again(directory)


def _not_possible(values: dict[str, Any]) -> None:
    for row in values["smoke"]["cases"]:
        row["after"].update(seen="not-possible", ok=True)


def _source(directory: Path) -> None:
    """Say that it was made from a source that the archive never had."""
    dsc = directory / "source/iproute2_6.1.0-1.dsc"
    dsc.write_bytes(dsc.read_bytes().replace(b"Standards-Version: 4.6.2", b"Standards-Version: 4"))
    _again(directory)


REPORTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a source that no index lists": ("no signed index of bookworm lists the source", _source),
    "a source that is not there": (
        "is missing",
        lambda f: next((f / "source").glob("*.orig.tar.gz")).unlink(),
    ),
    "a patched source with a back door": ("is not what this respin makes", _backdoor),
    "a package of another source": (
        "is not a package of iproute2",
        lambda f: _package(f, Source="bash"),
    ),
    "a number that is not its version's": (
        "is not what respin calls rebuild 7",
        lambda f: edit(f, lambda lock: lock.update(number=7), "respin.lock"),
    ),
    "packages of which not all is verified": (
        "its outcome is proven",
        lambda f: edit(f, lambda r: r.update(outcome="proven", unverified=["made up"])),
    ),
    "a proof on another architecture": (
        "its report is about s390x",
        lambda f: edit(f, lambda r: r["smoke"].update(architecture="s390x")),
    ),
    "a proof in which nothing loads": ("proves nothing", lambda f: edit(f, _not_possible)),
    "a package that the build does not list": (
        "does not match its entry in",
        lambda f: _added(f, packages.make_deb(f / "debs", "iproute2-doc", OURS)),
    ),
    "a path to another directory": (
        "has changed since its run",
        lambda f: edit(
            f,
            lambda r: r["patched"].update(
                dsc=f"../prepared/bookworm_6.1.0-1/patched/iproute2_{OURS}.dsc"
            ),
        ),
    ),
}


@pytest.mark.attack
@pytest.mark.parametrize("forged", REPORTS)
def test_a_report_that_does_not_say_what_is_so(here: Here, directory: Path, forged: str) -> None:
    words, change = REPORTS[forged]
    change(directory)
    assert words in refused(here, directory)


@pytest.mark.attack
def test_a_source_that_only_looks_like_ours(here: Here) -> None:
    """With the real patch stage: ours is taken, the same with one more line is not."""
    tree = GOLDEN / "v4.10-three-functions/in"
    files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
    made = packages.make_source(here.directory / "made/4.10.0-1", version="4.10.0-1", files=files)
    here.distro.now_has(here.dsc("6.1.0-1"), made)
    here.nights.world = replace(here.nights.world, patch=single_stage.patch_only)
    out = here.directory / "real"
    config = here.directory / "respin.toml"
    cache = here.nights.world.cache.root
    said = onerelease.respin(
        config, cache, "patch", "--release", "bookworm", "--version", "4.10.0-1", "--out", out
    )
    assert said.status == 0, said.err
    done = report_reader.read(out)
    assert done.patched
    finding = next(f for f in done.findings if f.fix == "stt-object")
    built = standin.built_of(out, done.source, finding, done.patched)
    report.write(replace(built, findings=done.findings), out)
    shutil.copytree(out, here.directory / "forged")
    forged = here.directory / "forged"
    patched = forged / "patched/iproute2_4.10.0-1+bpf1.dsc"
    work = here.directory / "work"
    subprocess.run(
        ["dpkg-source", "--no-check", "-x", patched, work], check=True, capture_output=True
    )
    patch = work / "debian/patches/respin-stt-object.patch"
    patch.write_text(patch.read_text().replace("Description: ", "Description: Not ours. "))
    shutil.copy(forged / "patched/iproute2_4.10.0.orig.tar.gz", here.directory)
    subprocess.run(
        ["dpkg-source", "-b", work.name],
        cwd=here.directory,
        env=packages.ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    for path in here.directory.glob("iproute2_4.10.0-1+bpf1.*"):
        shutil.copy(path, forged / "patched")
    _again(forged)
    assert "is not what this respin makes" in refused(here, forged)
    said = here.respin("publish", here.seal(out))
    assert said.status == 0, said.err
    assert list(here.nights.offered("bookworm")) == ["4.10.0-1+bpf1"]
