# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every reader of data from outside, with samples of what it usually reads, for fuzzing.

A reader is a function of bytes; whatever they are, it returns or raises a RespinError.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.deb822 import Sources

from pipeline.archives import apt_errors, dsc_file, host_apt, openpgp, resolve
from pipeline.archives.index import Index
from pipeline.archives.paragraphs import Paragraphs
from pipeline.archives.release import SignedRelease
from pipeline.archives.signedindex import Reader
from pipeline.build import uploads
from pipeline.config import config as configs
from pipeline.config import config_file
from pipeline.containers import apt_inside, base, roots
from pipeline.errors import BuildError, FetchError
from pipeline.files import os_release
from pipeline.fixes import build_depends, c_source, coccinelle, patch
from pipeline.model import (
    Artifact,
    Built,
    Finding,
    Patched,
    Release,
    Site,
    Source,
    Verdict,
    VerifiedFile,
)
from pipeline.proof import check, envelope
from pipeline.publish import verified_run
from pipeline.releases import releases
from pipeline.runs import lockfile_reader, report_reader
from pipeline.runs.report import Outcome, Report, to_json
from pipeline.smoke import bpf_object, expectation, object_report
from pipeline.source import local_tree
from pipeline.vm import kernel, results
from support import said, standin, things
from support.filled import filled

SUM = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
RELEASE = Release(distro="debian", codename="bookworm", version="12")


@dataclass(frozen=True)
class Target:
    """A reader, and samples of what it usually reads."""

    read: Callable[[bytes], object]
    samples: tuple[bytes, ...]


@contextmanager
def file(data: bytes, name: str = "file") -> Iterator[Path]:
    """Yield a file with this content, in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        yield path


def on_file(read: Callable[[Path], object], name: str = "file") -> Callable[[bytes], object]:
    """Return a reader of bytes that passes them on in a file."""

    def reader(data: bytes) -> object:
        with file(data, name) as path:
            return read(path)

    return reader


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


DSC = f"""Format: 3.0 (quilt)
Source: iproute2
Binary: iproute2, iproute2-doc
Architecture: linux-any all
Version: 6.1.0-3
Build-Depends: bison, debhelper-compat (= 13), libbpf-dev <!stage1>, libcap-dev [linux-any]
Package-List:
 iproute2 deb net important arch=linux-any
Checksums-Sha256:
 {SUM} 100 iproute2_6.1.0.orig.tar.xz
 {SUM} 200 iproute2_6.1.0-3.debian.tar.xz
Files:
 9e107d9d372bb6826bd81d3542a419d6 100 iproute2_6.1.0.orig.tar.xz
 9e107d9d372bb6826bd81d3542a419d6 200 iproute2_6.1.0-3.debian.tar.xz
""".encode()
SIGNED = (
    b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"
    + DSC
    + b"-----BEGIN PGP SIGNATURE-----\n\niHUEARYKAB0WIQ==\n=abcd\n-----END PGP SIGNATURE-----\n"
)
CHANGES = f"""Format: 1.8
Date: Mon, 22 May 2023 13:19:00 +0200
Source: iproute2
Version: 6.1.0-3+bpf1
Build-Architecture: amd64
Checksums-Sha256:
 {SUM} 1000 iproute2_6.1.0-3+bpf1_amd64.deb
 {SUM} 2000 iproute2_6.1.0-3+bpf1_amd64.buildinfo
Installed-Build-Depends:
 autoconf (= 2.71-3),
 libbpf-dev:amd64 (= 1:1.1.0-1)
""".encode()
SAID = b"\n".join(
    json.dumps(line).encode()
    for line in (
        {"kind": "hello", "kernel": "6.1.0-9-cloud-amd64"},
        {"kind": "begun", "id": "a"},
        {"kind": "ran", "id": "a", "status": 0, "seconds": 0.1, "late": False, "output": "x\n"},
        {"kind": "counted", "id": "a", "sent": 7, "received": 7, "maps": {"m": 7}},
        {"kind": "tried", "id": "b", "crashed": [[1, 11]], "loaded": 1, "refused": 2},
        {"kind": "kernel", "id": "a", "log": "x"},
        {"kind": "ready"},
        {"kind": "done"},
    )
)
LOCK = json.dumps(
    {
        "schema": 2,
        "tool": "iproute2-respin",
        "time": "20261122T105600Z",
        "release": {"distro": "debian", "codename": "bookworm"},
        "pockets": ["updates"],
        "source": {
            "name": "iproute2",
            "version": "6.1.0-3",
            "kind": "archive",
            "origin": "bookworm",
            "files": [{"name": "iproute2_6.1.0-3.dsc", "size": 100, "sha256": SUM}],
        },
        "fixes": ["stt-object"],
        "number": 1,
        "root": [{"name": "dpkg", "version": "1.2", "architecture": "amd64", "sha256": SUM}],
        "guest": None,
        "control": None,
    }
).encode()
RELEASE_FILE = f"""Origin: Debian
Label: Debian
Suite: stable
Codename: bookworm
Date: Sat, 07 Oct 2023 09:34:52 UTC
Valid-Until: Sat, 14 Oct 2033 09:34:52 UTC
Acquire-By-Hash: yes
Components: main contrib
SHA256:
 {SUM} 1000 main/source/Sources.xz
 {SUM} 9000 main/source/Sources
 {SUM} 9000 main/binary-amd64/Packages
""".encode()
SOURCES = f"""Package: iproute2
Version: 6.1.0-3
Directory: pool/main/i/iproute2
Checksums-Sha256:
 {SUM} 100 iproute2_6.1.0-3.dsc
 {SUM} 200 iproute2_6.1.0.orig.tar.xz

Package: other
Version: 1
""".encode()
PACKAGES = f"""Package: iproute2
Version: 6.1.0-3
Architecture: amd64
Essential: yes
Priority: required
Filename: pool/main/i/iproute2/iproute2_6.1.0-3_amd64.deb
Size: 1000
SHA256: {SUM}

""".encode()
CHANGELOG = b"""iproute2 (6.1.0-3) unstable; urgency=medium

  * Something.

 -- A Person <person@example.org>  Mon, 22 May 2023 13:19:00 +0200
"""
CONTROL = b"""Source: iproute2
Build-Depends: bison, debhelper-compat (= 13),
 libbpf-dev (>= 1.0) [linux-any] <!nocheck> | libbpf0-dev,
# a comment
 libcap-dev
Build-Conflicts: libx

Package: iproute2
"""
STATUS = b"""Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
OS_RELEASE = (
    b'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
)
URIS = (
    b"'http://deb.example.org/pool/i/iproute2_6.1.0-3_amd64.deb' iproute2_6.1.0-3_amd64.deb 1 X\n"
    b"'http://deb.example.org/l/libbpf1_1%3a1.1-1_amd64.deb' libbpf1_1%3a1.1-1_amd64.deb 2 X\n"
)
APT = b"""E: The repository 'http://x.example.org/d bookworm Release' does not have a Release file
E: Release file for http://x.example.org/dists/bookworm/InRelease is expired (invalid since)
W: GPG error: http://x.example.org bookworm InRelease: EXPKEYSIG 1234
 iproute2 : Depends: libx but it is not installable
"""
REPORT = b"respin\told\tbpf_map_num_sym\t0/lib/bpf.c\t42\tsym=sym\nnoise\n"
TOML = b"""[archives]
snapshot = "https://snapshot.example.org"
[release.mine]
base = "bookworm"
uris = ["http://mirror.example.org/debian"]
suffix = "+bpfacme{n}"
[nightly]
releases = ["debian:supported"]
runs-size = "10G"
keep-runs = 90
[publish]
origin = "mine"
keep = 3
[notify]
command = ["mail", "me"]
"""
CODE = b"""/* a comment */
#if 0
static int bpf_map_num_sym(void) { return "x" ? 1 : '"'; }
#else
static int bpf_map_num_sym(struct x *ctx)
{
	for (int i = 0; i < 3; i++) { if (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || x) continue; }
	return 0;
}
#endif
"""
KEYRING = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ=\n=ab\n"
STANZA = b"Types: deb\nURIs: http://x.example.org/debian\nSuites: bookworm\nComponents: main\n"
STATUS_FD = (
    b"NEWSIG\nGOODSIG 1234 A\nVALIDSIG ABCD 2023-05-22 1684761540 0 4 0 22 10 01 EFGH\n"
    b"BADSIG 12 x\nEXPKEYSIG 1\n"
)


def _reports() -> tuple[bytes, ...]:
    """Return reports that ``report_reader.read`` accepts, with and without packages."""
    file = VerifiedFile(path=Path("source/x.dsc"), size=1, sha256=SUM, verified="y")
    source = filled(Source, name="iproute2", version="6.1.0-3", release=RELEASE, files=(file,))
    site = filled(Site, function="f", verdict=Verdict.FIXED)
    finding = filled(Finding, fix="stt-object", verdict=Verdict.FIXED, sites=(site,))
    fetched = Report(
        outcome=Outcome.FETCHED, source=source, findings=(finding,), timings={"fetch": 1.0}
    )
    artifact = Artifact(path=Path("debs/x.deb"), size=1, sha256=SUM)
    fixed = dataclasses.replace(
        fetched,
        outcome=Outcome.FIXED,
        patched=filled(Patched, source=source, dsc=Path("x.dsc"), sha256=SUM),
        built=filled(
            Built,
            debs=(artifact,),
            changes=artifact,
            buildinfo=artifact,
            root=standin.ROOT,
        ),
        control=(file,),
        smoke=standin.smoked(),
    )
    return tuple(json.dumps(to_json(each, Path("/"))).encode() for each in (fetched, fixed))


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("./a", "b"):
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(b"x" * 700))
    return out.getvalue()


CAPTURE = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
CAPTURE += struct.pack("<IIII", 1, 0, 20, 20) + bytes(20)


def _objects() -> tuple[bytes, ...]:
    code = things.section(11, 1, 6, 64, 8)
    null = things.section(0, 0, 0, 0, 0)
    names = things.section(1, 3, 0, 64, 14)
    symbols = struct.pack("<IIQQQQIIQQ", 11, 2, 0, 0, 64, 48, 1, 0, 8, 24)
    one = things.elf(sections=null + names + code, count=3)
    return one, things.elf(sections=null + names + code + symbols, count=4)


def _take(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as directory:
        return base.take(io.BytesIO(data), frozenset({"a", "b"}), Path(directory))


def _signed(data: bytes) -> object:
    release = SignedRelease.__new__(SignedRelease)
    release.suite, release.site = "bookworm", "http://x.example.org"
    release.signers, release.expired = ("A",), ()
    release.text = data.decode("utf-8", "replace")
    release.stated = release._stated()
    reader = Reader.__new__(Reader)
    reader._source = Any  # type: ignore[assignment]
    reader._source = type("S", (), {"uri": "http://x", "components": ("main",)})()
    return Reader._index(reader, release, "", Any)  # type: ignore[arg-type]


def _index(data: bytes) -> object:
    with file(data) as path:
        index = Index.__new__(Index)
        index.suite, index.site, index.meta, index.path = "bookworm", "http://x", "Sources", path
        index._text = Paragraphs(path, "x")
        found = [*index.sources("iproute2"), *index.packages(["iproute2", "other"])]
        return found, index.matching("lib.*"), index.essential(("required",))


def _sighting(data: bytes) -> object:
    reader = Reader.__new__(Reader)
    reader._source = type("S", (), {"uri": "http://x"})()
    reader._package = "iproute2"
    return reader._sighting(Sources(data.decode("utf-8", "replace")), "bookworm")


def _proven(path: Path) -> object:
    return verified_run.proven(path.parent)


def _relations(path: Path) -> object:
    return build_depends.build_dependency(path.parent, "libbpf-dev")


def _code(path: Path) -> object:
    code = c_source.Code(path.parents[1])
    return code.definitions("bpf_map_num_sym"), code.redefined("lib/bpf.c")


def _changelog(path: Path) -> object:
    tree = path.parents[1]
    local_tree._identity(tree, tree)
    return patch.changelog_epoch(tree), patch.changelog_entry(
        patch._changelog(tree), version="6.1.0-3+bpf1", fixes=(), number=999
    )


def _words(text: str) -> object:
    error = FetchError("x", details=text)
    return (
        apt_errors.explain(error, "x"),
        apt_errors.missing_suites(text),
        resolve.unsatisfied(BuildError("x", details=text), "x", "bookworm"),
    )


def _module(data: bytes) -> object:
    return kernel._depends(data, Path("x.ko"))


def _config(path: Path) -> object:
    return configs.parse(config_file.read(path), path)


TARGETS = {
    "dsc": Target(lambda data: dsc_file.parse(data, "x"), (DSC, SIGNED)),
    "changes": Target(lambda data: uploads.parse(data, "x"), (CHANGES,)),
    "guest": Target(lambda data: results.parse(data, {"a", "b"}), (SAID + b"\n",)),
    "lock": Target(on_file(lockfile_reader.read), (LOCK,)),
    "report": Target(on_file(lambda p: report_reader.read(p.parent), "report.json"), _reports()),
    "proof": Target(on_file(_proven, "report.json"), _reports()),
    "envelope": Target(lambda data: envelope.read(data, "x"), (said.signed(),)),
    "statement": Target(
        lambda data: check.statement(data, "x"), tuple(map(envelope.canonical, said.made()))
    ),
    "elf": Target(lambda data: bpf_object.text(bpf_object.parse(data, "x")), _objects()),
    "object": Target(on_file(object_report.examine), _objects()),
    "capture": Target(on_file(expectation.read_capture), (CAPTURE,)),
    "module": Target(_module, _objects()),
    "tar": Target(_take, (_tar(),)),
    "release": Target(_signed, (RELEASE_FILE,)),
    "index": Target(_index, (SOURCES, PACKAGES)),
    "sighting": Target(_sighting, (SOURCES,)),
    "uris": Target(_text(lambda text: list(resolve.packages(text))), (URIS,)),
    "apt": Target(_text(_words), (APT,)),
    "spatch": Target(_text(lambda text: coccinelle.parse(text.splitlines(), 1)), (REPORT,)),
    "os-release": Target(on_file(lambda path: releases.find(None, machine=path)), (OS_RELEASE,)),
    "image": Target(
        _text(lambda text: apt_inside.check_release(os_release.parse(text), RELEASE, "x")),
        (OS_RELEASE,),
    ),
    "control": Target(on_file(_relations, "control"), (CONTROL,)),
    "changelog": Target(on_file(_changelog, "debian/changelog"), (CHANGELOG,)),
    "status": Target(lambda data: roots.parse(data), (STATUS,)),
    "toml": Target(on_file(_config), (TOML,)),
    "code": Target(on_file(_code, "lib/bpf.c"), (CODE,)),
    "gpgv": Target(
        _text(
            lambda text: openpgp._judged(
                [line.split() for line in text.splitlines()], b"", frozen=True
            )
        ),
        (STATUS_FD,),
    ),
    "keyring": Target(on_file(openpgp.keyring), (KEYRING,)),
    "sources": Target(_text(lambda text: list(host_apt._deb822(text, "amd64"))), (STANZA,)),
}
