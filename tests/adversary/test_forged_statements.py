# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody changes a run, or what is signed about it, and says that a worker of ours made it.

Whoever has a run's directory can write into it what they like. What they cannot do is sign it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support import inprocess, packages, sealed, standin
from support.cli import Said
from support.services import Fault, Service

from pipeline import __version__
from pipeline.archives import openpgp
from pipeline.build import ccache
from pipeline.errors import BuildError, NotVerified
from pipeline.host.cache import Cache
from pipeline.proof import check, envelope, manifest, statements
from pipeline.proof.envelope import Envelope, Signer
from pipeline.publish import keys
from pipeline.publish.keys import Key
from pipeline.runs import lockfile, lockfile_reader, rebuild, report_reader, single_stage
from pipeline.runs.building import Building
from pipeline.runs.report import Report
from pipeline.runs.request import Request

FLIPS = 200
NOTHING = {"XDG_CONFIG_HOME": "/nonexistent", "RESPIN_STATE": "/nonexistent"}
"""No configuration, and no key of this machine's own."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker's key, another one, and a run that the first has signed."""

    key: Key
    ring: bytes
    other: Key
    other_ring: bytes
    run: Path

    @property
    def deb(self) -> Path:
        """Return its package."""
        return next((self.run / "debs").glob("iproute2_*.deb"))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """Return what no test changes."""
    top = tmp_path_factory.mktemp("worker")
    key, ring = sealed.key(top / "one")
    other, other_ring = sealed.key(top / "other")
    run = sealed.run(top / "run", key)
    (top / "one.asc").write_bytes(key.public())
    (top / "other.asc").write_bytes(other.public())
    return Worker(key=key, ring=ring, other=other, other_ring=other_ring, run=run)


@pytest.fixture
def given(worker: Worker, tmp_path: Path) -> Path:
    """Return a copy of the run, for somebody to forge."""
    return shutil.copytree(worker.run, tmp_path / "given")


def verify(worker: Worker, *args: str | Path) -> Said:
    """Call respin verify; only the first key is trusted."""
    trust = worker.run.parent / "one.asc"
    return inprocess.respin("verify", *args, "--key", trust, env=NOTHING)


def refused(said: Said, sentence: str) -> None:
    """Hold what respin said to one sentence and its exit code."""
    assert said.status == NotVerified.exit_code == 19, said
    assert said.out == "" and said.err.startswith("respin: ") and "Traceback" not in said.err
    assert sentence in said.err.partition("\n\n")[0], said.err


# -- the control ------------------------------------------------------------------------------


@pytest.mark.bad_input
def test_the_control(worker: Worker, given: Path) -> None:
    """What nobody has changed is verified, and what is proven of it is said."""
    for what in (given, next((given / "debs").glob("*.deb"))):
        said = verify(worker, what)
        assert said.status == 0, said.err
        assert f"signed by  {worker.key.fingerprints[0]}" in said.out
        assert "refused 1 objects, the new one loaded 1" in " ".join(said.out.split())
    values = json.loads(verify(worker, given, "--json").out)
    assert values["signers"] == list(worker.key.fingerprints) and len(values["statements"]) == 3


# -- one byte ---------------------------------------------------------------------------------


@pytest.mark.attack
def test_one_flipped_bit_anywhere_is_found(worker: Worker, given: Path) -> None:
    """Half of them are anywhere in the directory's bytes, half in any of its files."""
    seed = random.Random(15)
    names = sorted(manifest.names(given, without=()))
    sizes = {name: (given / name).stat().st_size for name in names}
    assert envelope.NAME in names
    check.directory(given, [worker.ring])
    for number in range(FLIPS):
        chosen = names if number % 2 else seed.choices(names, [*sizes.values()])
        name = seed.choice([each for each in chosen if sizes[each]])
        path, place = given / name, seed.randrange(sizes[name])
        before = path.read_bytes()
        after = bytearray(before)
        after[place] ^= 1 << seed.randrange(8)
        path.write_bytes(after)
        with pytest.raises(NotVerified):
            check.directory(given, [worker.ring])
        path.write_bytes(before)
    check.directory(given, [worker.ring])


@pytest.mark.attack
def test_any_flipped_bit_of_a_signature_is_found(worker: Worker, given: Path) -> None:
    """Of some, gpgv says that the signature is good: those that OpenPGP leaves unsigned."""
    path = given / envelope.NAME
    first, *rest = envelope.read(path.read_bytes(), "x")
    ((key, signature),) = first.signatures.items()
    found = set()
    for place in range(len(signature)):
        other = bytearray(signature)
        other[place] ^= 1
        changed = Envelope(payload=first.payload, signatures={key: bytes(other)})
        text = envelope.to_bytes([changed, *rest])
        line = json.loads(path.read_bytes())[0]["signatures"][0]["sha256"]
        value = json.loads(text)
        value[0]["signatures"][0]["sha256"] = line
        path.write_bytes(b"[\n" + b",\n".join(map(envelope.canonical, value)) + b"\n]\n")
        with pytest.raises(NotVerified) as e:
            check.of_file(path, [worker.ring])
        found.add(e.value.brief)
        path.write_bytes(envelope.to_bytes([first, *rest]))
    assert found == {f"{path} does not hold signed statements of respin"}


# -- files ------------------------------------------------------------------------------------


def _pipe(given: Path) -> None:
    (given / envelope.NAME).unlink()
    os.mkfifo(given / envelope.NAME)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a file that is missing": ("is not as it was", lambda g: (g / "report.json").unlink()),
    "a file that was added": ("is not as it was", lambda g: (g / "logs/x").touch()),
    "a link": (
        "is neither a file nor a directory",
        lambda g: (g / "logs/x").symlink_to("/etc/passwd"),
    ),
    "a pipe": ("is neither a file nor a directory", lambda g: os.mkfifo(g / "logs/x")),
    "a pipe in the place of the statements": (
        "is not a regular file",
        _pipe,
    ),
    "no statements": (
        "has no provenance.json: an older respin made it",
        lambda g: (g / envelope.NAME).unlink(),
    ),
    "statements of 100 MB": (
        "has more than 16777216 bytes",
        lambda g: (g / envelope.NAME).write_bytes(b"[" + b" " * (100 << 20) + b"]"),
    ),
    "a sparse terabyte": (
        f"has more than {manifest.BYTES} bytes",
        lambda g: os.truncate(g / "report.json", 1 << 40),
    ),
    "a file that no run leaves": (
        f"cannot be read: it has more than {manifest.LARGEST} bytes",
        lambda g: os.truncate(g / "report.json", manifest.LARGEST + 1),
    ),
    "statements that are cut off": (
        "does not hold signed statements",
        lambda g: os.truncate(g / envelope.NAME, (g / envelope.NAME).stat().st_size // 2),
    ),
}


@pytest.mark.attack
@pytest.mark.parametrize("what", FILES)
def test_a_directory_that_was_changed(worker: Worker, given: Path, what: str) -> None:
    sentence, change = FILES[what]
    change(given)
    refused(verify(worker, given), sentence)


@pytest.mark.attack
def test_files_that_are_too_large_together(worker: Worker, given: Path) -> None:
    """None of them is; to read them all would take minutes, and none has to be read."""
    for number in range(5):
        (given / f"logs/{number}").touch()
        os.truncate(given / f"logs/{number}", manifest.LARGEST)
    refused(verify(worker, given), f"has more than {manifest.BYTES} bytes")


# -- statements -------------------------------------------------------------------------------


def again(
    path: Path, change: Callable[[list[dict[str, Any]]], object], signer: Key | None = None
) -> None:
    """Change the statements in a file; sign all of them, or leave the signatures as they were."""
    old = envelope.read(path.read_bytes(), "x")
    values = [json.loads(each.payload) for each in old]
    change(values)
    new = [envelope.canonical(value) for value in values]
    if signer:
        made: Sequence[Envelope] = envelope.sign(new, signer)
    else:
        made = [
            Envelope(payload=payload, signatures=each.signatures)
            for payload, each in zip(new, old, strict=False)
        ]
    path.write_bytes(envelope.to_bytes(made))


def _passed(values: list[dict[str, Any]]) -> None:
    values[1]["predicate"]["passedTests"].append("every case of all")


def _subject(values: list[dict[str, Any]]) -> None:
    values[0]["subject"][1]["digest"]["sha256"] = "0" * 64


def _future(values: list[dict[str, Any]]) -> None:
    values[0]["predicateType"] = "https://slsa.dev/provenance/v2"


def _newer(values: list[dict[str, Any]]) -> None:
    values[2]["_type"] = "https://in-toto.io/Statement/v2"


@pytest.mark.attack
def test_statements_of_another_key(worker: Worker, given: Path) -> None:
    again(given / envelope.NAME, lambda _: None, worker.other)
    said = verify(worker, given)
    refused(said, "no trusted key has signed")
    assert worker.other.fingerprints[0] in said.err


@pytest.mark.attack
def test_statements_under_the_name_of_our_key(worker: Worker, given: Path) -> None:
    path = given / envelope.NAME
    again(path, lambda _: None, worker.other)
    renamed = [
        Envelope(payload=e.payload, signatures={worker.key.fingerprints[0]: s})
        for e in envelope.read(path.read_bytes(), "x")
        for s in e.signatures.values()
    ]
    path.write_bytes(envelope.to_bytes(renamed))
    refused(verify(worker, given), "no trusted key has signed")
    # Even if both are trusted, it says something that is not so.
    with pytest.raises(NotVerified, match="of what another key signed"):
        check.of_file(path, [worker.ring, worker.other_ring])


@pytest.mark.attack
@pytest.mark.parametrize("change", [_passed, _subject, _future, _newer])
def test_a_statement_that_was_changed(
    worker: Worker, given: Path, change: Callable[[list[dict[str, Any]]], object]
) -> None:
    again(given / envelope.NAME, change)
    refused(verify(worker, given), "was changed: a signature is not good")


@pytest.mark.attack
def test_a_statement_that_was_taken_away(worker: Worker, given: Path) -> None:
    path = given / envelope.NAME
    made = envelope.read(path.read_bytes(), "x")
    path.write_bytes(envelope.to_bytes([made[0], made[2]]))
    refused(verify(worker, given), "is not whole: its statements are not of one run")
    path.write_bytes(envelope.to_bytes(made[:2]))
    refused(verify(worker, given), "is not whole")
    path.write_bytes(envelope.to_bytes([made[0], *made]))
    refused(verify(worker, given), "two statements of one kind")


@pytest.mark.attack
def test_statements_of_two_runs(worker: Worker, given: Path, tmp_path: Path) -> None:
    """The test of another run would prove a package that it never saw."""
    other = sealed.run(tmp_path / "other", worker.key)
    one = envelope.read((given / envelope.NAME).read_bytes(), "x")
    two = envelope.read((other / envelope.NAME).read_bytes(), "x")
    (given / envelope.NAME).write_bytes(envelope.to_bytes([one[0], two[1], two[2]]))
    with pytest.raises(NotVerified):
        check.of_file(given / envelope.NAME, [worker.ring])


@pytest.mark.bad_input
@pytest.mark.parametrize("change", [_future, _newer])
def test_a_statement_of_a_later_respin(
    worker: Worker, given: Path, change: Callable[[list[dict[str, Any]]], object]
) -> None:
    """It is signed by the right key, and this respin still does not know what it says."""
    again(given / envelope.NAME, change, worker.key)
    said = verify(worker, given)
    refused(said, "has a statement of a kind that this respin does not know")
    assert "/v2" in said.err


@pytest.mark.bad_input
def test_a_run_that_nobody_signed(worker: Worker, given: Path) -> None:
    sealed.seal(given, None)
    said = verify(worker, given)
    refused(said, "is not signed, so nobody vouches for what it says")
    # Nothing is read of what may be large, and anybody's.
    os.truncate(given / "report.json", 1 << 40)
    refused(verify(worker, given), "is not signed, so nobody vouches for what it says")


@pytest.mark.bad_input
def test_no_key_is_trusted(worker: Worker, given: Path) -> None:
    said = inprocess.respin("verify", given, env=NOTHING)
    refused(said, "no trusted key has signed")
    assert "--key FILE" in said.err
    said = inprocess.respin("verify", given, "--key", given / "report.json", env=NOTHING)
    assert said.status == 2 and "has no OpenPGP public key" in said.err
    config = given.parent / "respin.toml"
    config.write_text('[nightly]\nstate = "state"\n[trust]\nkeys = "0123456789ABCDEF"\n')
    said = inprocess.respin("verify", given, env={"RESPIN_CONFIG": str(config)})
    assert said.status == 2 and "cannot be read" in said.err
    assert "files, not fingerprints" in said.err and "--keyring" not in said.err


@pytest.mark.bad_input
def test_keys_in_respin_toml(worker: Worker, given: Path) -> None:
    config = given.parent / "respin.toml"
    shutil.copy(worker.run.parent / "one.asc", given.parent / "worker.asc")
    config.write_text('[nightly]\nstate = "state"\n[trust]\nkeys = "worker.asc"\n')
    said = inprocess.respin("verify", given, env={"RESPIN_CONFIG": str(config)})
    assert said.status == 0, said.err
    config.write_text('[nightly]\nstate = "state"\n[trust]\nkeys = []\n')
    refused(inprocess.respin("verify", given, env={"RESPIN_CONFIG": str(config)}), "no trusted key")


# -- packages ---------------------------------------------------------------------------------


@pytest.mark.attack
def test_a_package_that_no_statement_names(worker: Worker, given: Path, tmp_path: Path) -> None:
    deb = next((given / "debs").glob("*.deb"))
    beside = given / envelope.NAME
    other = packages.make_deb(tmp_path / "debs", "bash", "1-1", architecture="amd64")
    refused(verify(worker, other, "--provenance", beside), "does not name bash_1-1_amd64.deb")
    refused(verify(worker, other), "there are no signed statements about")
    deb.write_bytes(deb.read_bytes() + b"\n")
    refused(verify(worker, deb), "is about")


@pytest.mark.attack
def test_a_package_under_the_name_of_another(
    worker: Worker, service: Service, tmp_path: Path
) -> None:
    """It is signed; it may have been withdrawn, and be served in the place of a newer one."""
    name = "iproute2_7.0.0-1+bpf9_amd64"
    (dsc,) = (worker.run / "patched").glob("*.dsc")
    for what in (worker.deb, dsc):
        renamed = tmp_path / f"{name if what == worker.deb else worker.deb.stem}.deb"
        shutil.copy(what, renamed)
        refused(verify(worker, renamed, "--provenance", worker.run / envelope.NAME), renamed.name)
    pool = "/bookworm/pool/main/i/iproute2"
    service.put(f"{pool}/{name}.deb", worker.deb.read_bytes())
    statement = (worker.run / envelope.NAME).read_bytes()
    service.put(f"{pool}/{name}.{envelope.NAME}", statement)
    for escaped in (name, name.replace("+", "%2B")):
        refused(verify(worker, f"{service.url}{pool}/{escaped}.deb"), f"does not name {name}.deb")
    # What it is, is said.
    for where in (worker.deb, url(service, worker)):
        assert "package    iproute2 6.1.0-1+bpf1 amd64\n" in verify(worker, where).out


@pytest.mark.bad_input
def test_a_package_of_a_run_that_was_not_tested(worker: Worker, tmp_path: Path) -> None:
    """Its statements are signed and name it, and the smoke test has never seen it."""
    dsc = next((worker.run / "source").glob("*.dsc"))
    run = sealed.seal(standin.make(tmp_path / "run", dsc, sealed.RELEASE, doc=True), worker.key)
    (doc,) = (run / "debs").glob("iproute2-doc_*.deb")
    said = verify(worker, doc)
    assert said.status == 0, said
    words = " ".join(said.out.split())
    assert f"this package was not tested; tested: {worker.deb.name}" in words.replace("debs/", "")
    assert words.count(" made ") == 1 and f"made debs/{doc.name} " in words
    assert f"same run debs/{worker.deb.name} (not checked here)" in words


@pytest.mark.bad_input
def test_what_is_not_a_run(worker: Worker, tmp_path: Path) -> None:
    said = verify(worker, tmp_path)
    refused(said, f"{tmp_path} is not the directory of a run")
    assert "with several architectures, one of those in it" in " ".join(said.err.split())
    said = verify(worker, "ftp://me:secret@x/y.deb")
    assert said.status == 2 and "an address must begin with http:// or https://" in said.err
    assert "secret" not in said.err


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "option", [("--container", "docker"), ("--image", "x"), ("--force-host",), ("--locked",)]
)
def test_how_to_rebuild_what_is_not_rebuilt(
    worker: Worker, given: Path, option: tuple[str, ...]
) -> None:
    more = (given / lockfile.NAME,) if option == ("--locked",) else ()
    said = verify(worker, next((given / "debs").glob("*.deb")), *option, *more)
    assert said.status == 2 and f"{option[0]} cannot be used without --rebuild" in said.err


# -- keys -------------------------------------------------------------------------------------


@pytest.mark.bad_input
def test_a_key_that_has_expired(tmp_path: Path) -> None:
    """It is believed for what it signed before, and not for what it signs later."""
    key, _ = sealed.key(tmp_path / "state")
    before, after = sealed.run(tmp_path / "before", key), sealed.run(tmp_path / "after", None)
    old = sealed.expire(key, 2)
    proof = check.directory(before, [old])
    assert proof.expired == key.fingerprints == proof.signers
    # gpg does not sign with it; whoever has the key can make it do so.
    assert key.home
    keys.change(key.home, "--quick-set-expire", key.fingerprints[0], "1y", brief="set the expiry")
    sealed.seal(after, key)
    with pytest.raises(NotVerified, match="no trusted key has signed") as e:
        check.directory(after, [old])
    assert "has expired" in e.value.details
    new = openpgp.binary(key.public())  # renewed
    for rings in ([new], [old, new], [new + old]):
        proof = check.directory(after, rings)
        assert proof.signers == key.fingerprints and proof.expired == ()


@pytest.mark.attack
def test_a_key_that_was_revoked(tmp_path: Path) -> None:
    """Somebody else may have it, who can set the clock back: it is not believed at all."""
    key, ring = sealed.key(tmp_path / "state")
    run = sealed.run(tmp_path / "run", key)
    check.directory(run, [ring])
    assert key.home
    # gpg writes a certificate for each key, with a colon before it (gpg(1), --gen-revoke).
    written = key.home / f"openpgp-revocs.d/{key.fingerprints[0]}.rev"
    certificate = tmp_path / "revoked.asc"
    certificate.write_text(written.read_text().replace("\n:---", "\n---"))
    keys.change(key.home, "--import", str(certificate), brief="revoke the key")
    new = openpgp.binary(key.public())
    # gpgv alone believes an older copy of the key that comes first, in the same file or another.
    for rings in ([new], [new, ring], [ring, new], [ring + new], [new + ring], [ring, ring, new]):
        with pytest.raises(NotVerified, match="no trusted key has signed") as e:
            check.directory(run, rings)
        assert "was revoked" in e.value.details
    assert check.directory(run, [ring, ring + ring]).signers == key.fingerprints


# -- without respin ---------------------------------------------------------------------------


@pytest.mark.bad_input
def test_an_auditor_needs_no_respin(worker: Worker, given: Path, tmp_path: Path) -> None:
    """The commands of docs/proof.md: a shell, jq's work by Python, gpg and gpgv."""
    first = json.loads((given / envelope.NAME).read_text())[0]
    assert first["payloadType"] == envelope.TYPE
    script = """
    jq() { python3 -c "import json,sys; print(json.load(open(sys.argv[1]))[0]$1)" provenance.json; }
    jq '["payload"]' | base64 -d >payload
    jq '["signatures"][0]["sig"]' | base64 -d >signature
    { printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(stat -c %s payload)"
      cat payload; } >signed
    gpg --dearmor <key.asc >key.gpg
    gpgv --keyring ./key.gpg signature signed
    """
    shutil.copy(given / envelope.NAME, tmp_path / "provenance.json")
    shutil.copy(worker.run.parent / "one.asc", tmp_path / "key.asc")
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True, capture_output=True)
    payload = json.loads((tmp_path / "payload").read_bytes())
    assert payload["predicateType"] == statements.PROVENANCE
    sums = "".join(f"{s['digest']['sha256']}  {s['name']}\n" for s in payload["subject"]).encode()
    compare = ["sha256sum", "--quiet", "-c"]
    assert subprocess.run(compare, input=sums, cwd=given, capture_output=True).returncode == 0
    next((given / "debs").glob("*.deb")).write_bytes(b"another")
    assert subprocess.run(compare, input=sums, cwd=given, capture_output=True).returncode == 1
    (tmp_path / "provenance.json").write_text("[]")
    assert subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True).returncode


# -- a repository -----------------------------------------------------------------------------


@pytest.fixture
def service(worker: Worker) -> Iterator[Service]:
    """Serve the package of the run as a repository of ours does."""
    with Service() as service:
        stem = f"/bookworm/pool/main/i/iproute2/{worker.deb.stem}"
        service.put(f"{stem}.deb", worker.deb.read_bytes())
        for name in (envelope.NAME, lockfile.NAME):
            service.put(f"{stem}.{name}", (worker.run / name).read_bytes())
        yield service


def url(service: Service, worker: Worker) -> str:
    """Return the address of the package."""
    return f"{service.url}/bookworm/pool/main/i/iproute2/{worker.deb.name}"


@pytest.mark.bad_input
def test_a_package_in_a_repository(worker: Worker, service: Service) -> None:
    where = url(service, worker)
    said = verify(worker, where)
    assert said.status == 0 and f"{where}: verified" in said.out, said
    said = verify(worker, where.replace("+", "%2B"))
    assert said.status == 0, said
    service.wanted = "me:secret"
    said = verify(worker, where.replace("://", "://me:secret@"))
    assert said.status == 0 and "secret" not in said.out + said.err, said
    said = verify(worker, where.replace("://", "://me:wrong@"))
    assert said.status == 10 and "wrong" not in said.out + said.err, said
    service.wanted = ""
    # Nothing that is larger than the statements is fetched before they are verified.
    other = worker.run.parent / "other.asc"
    service.log.clear()
    refused(inprocess.respin("verify", where, "--key", other, env=NOTHING), "no trusted key")
    assert [path for path, _ in service.log] == [
        f"{path}.{envelope.NAME}" for path in [where.removeprefix(service.url)[: -len(".deb")]]
    ]


@pytest.mark.attack
def test_a_repository_that_lies(worker: Worker, service: Service) -> None:
    where = url(service, worker)
    path = where.removeprefix(service.url)
    service.fail(path, Fault(spoil=True))
    refused(verify(worker, where), "is not the iproute2_6.1.0-1+bpf1_amd64.deb that")
    service.fail(envelope.NAME, Fault(spoil=True))
    said = verify(worker, where)
    refused(said, "respin: http://127.0.0.1")
    assert "was changed" in said.err or "does not hold signed statements" in said.err
    service.put(f"{path[: -len('.deb')]}.{envelope.NAME}", b"[" * (17 << 20))
    said = verify(worker, where)
    assert said.status == 10 and "sends more than 16777216 bytes" in said.err, said
    service.answers.pop(f"{path[: -len('.deb')]}.{envelope.NAME}")
    refused(verify(worker, where), "there are no signed statements about http://127.0.0.1")


@pytest.mark.bad_input
@pytest.mark.parametrize("tail", ["", "/", "/pool/x.dsc", "/pool/..", "/x.deb?y=1", "/a b.deb"])
def test_an_address_that_is_of_no_package(worker: Worker, service: Service, tail: str) -> None:
    said = verify(worker, f"{service.url}{tail}")
    assert said.status == 2 and "is not the address of a package" in said.err, said


# -- made again -------------------------------------------------------------------------------


@pytest.fixture
def made(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Let a rebuild make these files, by name, in place of a build."""
    files = {worker.deb.name: worker.deb}
    (dsc,) = (worker.run / "patched").glob("*.dsc")
    files[dsc.name] = dsc

    def again(request: Request, place: Path, journal: object) -> rebuild.Rebuilt:
        assert request.locked and request.locked.version == "6.1.0-1"
        (place / "debs").mkdir()
        for name, path in files.items():
            shutil.copy(path, place / "debs" / name)
        found = {name: manifest.sha256(path) for name, path in files.items()}
        return rebuild.Rebuilt(files=found, directory=place / "debs")

    monkeypatch.setattr(rebuild, "again", again)
    return files


@pytest.mark.needs("diffoscope")
@pytest.mark.attack
def test_a_signed_package_that_the_source_does_not_give(
    worker: Worker, given: Path, made: dict[str, Path], tmp_path: Path
) -> None:
    """Whoever has the key signs a back door: only making the package again shows it."""
    cache = ("--cache", tmp_path / "cache")
    said = verify(worker, given, "--rebuild", *cache)
    assert said.status == 0 and "1 packages, the same byte for byte" in said.out, said
    deb = next((given / "debs").glob("*.deb"))
    other = packages.make_deb(
        tmp_path / "evil",
        "iproute2",
        "6.1.0-1+bpf1",
        architecture="amd64",
        fields={"Homepage": "a backdoor"},
    )
    made[deb.name] = other
    for what in (given, deb):
        said = verify(worker, what, "--rebuild", *cache)
        refused(said, f"{deb.name}, made again from the lock, is another file")
        assert "+Homepage: a backdoor" in said.err
    del made[deb.name]
    refused(verify(worker, given, "--rebuild", *cache), "is another file")


@pytest.mark.attack
def test_a_lock_of_another_run(
    worker: Worker, given: Path, service: Service, made: dict[str, Path], tmp_path: Path
) -> None:
    """It would make the package again from other inputs than it was made from."""
    deb, lock = next((given / "debs").glob("*.deb")), given / lockfile.NAME
    lock.write_text(lock.read_text().replace('"number": 1', '"number": 2'))
    words = ("--rebuild", "--cache", tmp_path / "cache")
    refused(verify(worker, deb, *words), "is not the lock of the run that made this")
    lock.unlink()
    said = verify(worker, deb, *words)
    assert said.status == 2 and "--rebuild needs the lock of the run" in said.err
    assert verify(worker, url(service, worker), *words).status == 0
    service.fail(lockfile.NAME, Fault(spoil=True))
    refused(verify(worker, url(service, worker), *words), "is not the lock of the run")


@pytest.mark.attack
@pytest.mark.parametrize("what", ["a pipe", "/dev/null", "nothing"])
def test_a_lock_that_cannot_be_read(
    worker: Worker, given: Path, made: dict[str, Path], tmp_path: Path, what: str
) -> None:
    deb = next((given / "debs").glob("*.deb"))
    words: tuple[str | Path, ...] = (deb, "--locked", tmp_path / "lock")
    if what == "a pipe":
        os.mkfifo(tmp_path / "lock")
    elif what == "/dev/null":
        words = (deb, "--locked", "/dev/null")
    else:  # signed without one
        (given / lockfile.NAME).unlink()
        sealed_again(given, worker.key)
        words = (given,)
    said = verify(worker, *words, "--rebuild", "--cache", tmp_path / "cache")
    refused(said, "cannot be read")


def sealed_again(directory: Path, key: Key) -> None:
    """Let a key sign what is in a directory now, and say again what it said of the run."""
    path = directory / envelope.NAME
    files = [
        {"name": name, "digest": {"sha256": sha256}}
        for name, sha256 in manifest.of(directory).items()
    ]
    again(path, lambda values: values[2].update(subject=files), key)


@pytest.mark.attack
def test_a_lock_that_changes_meanwhile(
    worker: Worker,
    given: Path,
    made: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is used is what was compared with the statements."""
    lock, looked = given / lockfile.NAME, manifest.sha256
    deb = next((given / "debs").glob("*.deb"))

    def sha256(path: Path) -> str:
        found = looked(path)
        if path != deb:
            lock.write_text(lock.read_text().replace("6.1.0-1", "6.1.0-2"))
        return found

    numbers = []
    fake = rebuild.again

    def again(request: Request, place: Path, journal: Any) -> rebuild.Rebuilt:
        assert request.locked and request.locked.path == lock
        numbers.append(request.locked.version)
        return fake(request, place, journal)

    monkeypatch.setattr(rebuild, "again", again)
    words = (deb, "--rebuild", "--cache", tmp_path / "cache")
    monkeypatch.setattr(manifest, "sha256", sha256)
    said = verify(worker, *words)
    monkeypatch.undo()
    assert "6.1.0-2" in lock.read_text() and numbers == ["6.1.0-1"], said
    refused(verify(worker, *words), "is not the lock of the run that made this")


@pytest.mark.attack
def test_a_rebuild_takes_nothing_from_earlier_builds(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that is to be verified may have left its objects in ccache."""
    done = report_reader.read(worker.run)
    locked = replace(lockfile_reader.read(worker.run / lockfile.NAME), root=standin.ROOT)
    brought: list[str] = []
    root = SimpleNamespace(
        ccache="made up", root=SimpleNamespace(start=lambda cache: contextlib.nullcontext("inside"))
    )

    def build(request: Request, earlier: Path, out: Path, journal: object) -> Report:
        with contextlib.ExitStack() as stack:
            context: Any = SimpleNamespace(request=request)
            Building(context, cast(Any, None), stack).prepare(done.source)
        return done

    monkeypatch.setattr(ccache, "bring", lambda inside, cache, name: brought.append(name))
    monkeypatch.setattr(Building, "prepare_root", lambda building, source: root)
    monkeypatch.setattr(single_stage, "patch_only", lambda *_: done)
    monkeypatch.setattr(single_stage, "build_only", build)
    request = Request(
        release=sealed.RELEASE, fixes=(), cache=Cache(tmp_path / "cache"), locked=locked
    )
    build(request, worker.run, tmp_path, None)
    assert brought.pop() == "made up"  # the control
    found = rebuild.again(request, tmp_path)
    assert worker.deb.name in found.files and brought == []


@pytest.mark.bad_input
def test_another_respin_made_it(
    worker: Worker,
    given: Path,
    made: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That its package differs is no reason to accuse who signed it."""
    deb = next((given / "debs").glob("*.deb"))
    other = tmp_path / deb.name
    other.write_bytes(b"another")
    made[deb.name] = other
    monkeypatch.setattr(rebuild, "difference", lambda given, made: "made up")
    words = (given, "--rebuild", "--cache", tmp_path / "cache")
    assert "ask whoever signed it" in verify(worker, *words).err
    monkeypatch.setattr("pipeline.cli.verify.__version__", "99")
    said = " ".join(verify(worker, *words).err.split())
    assert f"another version of respin made the run, {__version__}, and this is 99" in said
    assert "ask whoever signed it" not in said


@pytest.mark.bad_input
def test_a_respin_with_another_fix(
    worker: Worker, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before a build that could only give another package."""
    with monkeypatch.context() as older:
        older.setattr("pipeline.runs.sealed.content_of", lambda fix: "0" * 64)
        sealed.seal(given, worker.key)
    assert verify(worker, given).status == 0
    said = verify(worker, given, "--rebuild", "--cache", tmp_path / "cache")
    refused(said, "than the run had, and would make other packages")


@pytest.mark.bad_input
def test_a_lock_that_does_not_say_what_was_in_the_root(
    worker: Worker, given: Path, tmp_path: Path
) -> None:
    """A build in an image; a lock whose packages are gone is in test_own_archive."""
    said = verify(worker, given, "--rebuild", "--cache", tmp_path / "cache")
    assert said.status == 13 and "does not list the packages of the build's root" in said.err, said


# -- who signs a run --------------------------------------------------------------------------


@pytest.mark.bad_input
def test_a_key_that_cannot_sign_ends_a_run_before_it_begins(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after a build: ``respin run`` calls for nothing here but the key."""
    begun: list[Signer | None] = []

    def run(request: Request, out: Path, journal: object = None) -> None:
        begun.append(request.signer)
        raise BuildError("made up")

    monkeypatch.setattr("pipeline.run.run", run)
    config = tmp_path / "respin.toml"

    def respin(toml: str, *args: str) -> Said:
        config.write_text(f'[nightly]\nstate = "state"\n{toml}')
        words = ("run", "--release", "bookworm", "--config", config, "--cache", tmp_path / "cache")
        return inprocess.respin(*words, *args, env=NOTHING)

    assert respin("").status == 13 and begun == [None]
    own = f'[publish]\ngnupg-home = "{worker.key.home}"\n'
    said = respin(own, "--sign-with", worker.key.fingerprints[0])
    assert said.status == 13 and begun[1] is not None
    assert begun[1].fingerprints == worker.key.fingerprints
    for sentence, args in {
        "--sign-with needs the fingerprint of a key": ("--sign-with", "me@example.org"),
        "cannot be signed: gpg could not sign": ("--sign-with", worker.other.fingerprints[0]),
    }.items():
        said = respin(own, *args)
        assert said.status == 2 and sentence in " ".join(said.err.split()), said
    key, _ = sealed.key(tmp_path / "state")
    assert respin("").status == 13 and begun[2] and begun[2].fingerprints == key.fingerprints
    sealed.expire(key, 1)
    said = respin("")
    assert said.status == 2 and "has expired" in said.err and "respin key renew" in said.err
    assert len(begun) == 3


@pytest.mark.attack
@pytest.mark.parametrize("command", ["patch", "build", "prove"])
def test_whose_runs_a_signed_run_continues_from(
    worker: Worker, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Those of its own key, and of the keys under [trust]: no other's become its own."""
    asked: list[Request] = []

    def part(request: Request, *_: object, **__: object) -> None:
        asked.append(request)
        raise BuildError("made up")

    monkeypatch.setattr(single_stage, f"{command}_only", part)
    theirs = sealed.seal(shutil.copytree(worker.run, tmp_path / "theirs"), worker.other)
    config = tmp_path / "respin.toml"
    trusts = f'[trust]\nkeys = ["{worker.run.parent / "other.asc"}"]\n'
    words = (command, given, "--config", config, "--cache", tmp_path / "cache")
    for toml, found in (("", False), (trusts, True)):
        config.write_text(
            f'[nightly]\nstate = "state"\n[publish]\ngnupg-home = "{worker.key.home}"\n{toml}'
        )
        said = inprocess.respin(*words, "--sign-with", worker.key.fingerprints[0], env=NOTHING)
        assert said.status == 13, said
        check.directory(given, asked[-1].trusted)
        with contextlib.nullcontext() if found else pytest.raises(NotVerified):
            check.directory(theirs, asked[-1].trusted)
