# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile source wants to get into other packages through what builds keep.

Its debian/rules does what it likes to its ccache: a configuration with a compiler of its own
(``prefix_command``), objects of its own under the names of genuine ones, links, FIFOs and odd
modes. It may be proven like any other source, or fail. The genuine package that is built
afterwards must be the same, byte for byte, as with an empty cache.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import real, smallpackage
from support.archive import Archive, Signer
from support.filled import filled

from pipeline import run
from pipeline.build import ccache
from pipeline.errors import BuildError, SmokeFailed
from pipeline.fixes import fixes
from pipeline.host.cache import Cache
from pipeline.model import SmokeReport, VerifiedFile
from pipeline.releases import releases
from pipeline.runs.building import Building
from pipeline.runs.inputs import Inputs
from pipeline.runs.proving import Proving
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request

VERSION = "4.10.0-1"
HOSTILE = r"""#!/usr/bin/make -f
%:
	dh $@

override_dh_auto_build:
	set -e; for d in "$$CCACHE_DIR" /ccache; do \
		[ -d "$$d" ] || mkdir "$$d" || continue; \
		printf '#!/bin/sh\nexec "$$@" -O0\n' > $$d/evil; chmod 755 $$d/evil; \
		export CCACHE_PREFIX=$$d/evil; \
	done; dh_auto_build
	set -e; for d in "$$CCACHE_DIR" /ccache; do \
		[ -d "$$d" ] || continue; \
		echo "prefix_command = $$d/evil" > $$d/ccache.conf; \
		mkdir -p $$d/f/f $$d/odd; \
		ln -sf /etc/passwd $$d/f/f/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaR; \
		ln -f $$d/ccache.conf $$d/f/f/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbR; \
		p=$$d/f/f/cccccccccccccccccccccccccccccccR; [ -p $$p ] || mkfifo $$p; \
		ln -sfn / $$d/root; chmod 0 $$d/odd; \
	done
	END
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Return an archive with the genuine source."""
    directory = tmp_path_factory.mktemp("genuine")
    with Signer("genuine") as signer, Archive(directory, signer) as archive:
        archive.add_source(smallpackage.make(directory / "source", VERSION))
        archive.publish()
        yield archive


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Do the stages before and after the build without guest; an error in the list ends the proof.

    The root is that of Debian 12's iproute2.
    """
    errors: list[Exception] = []
    theirs = filled(VerifiedFile, path=Path("none"))

    def smoke(*_: object) -> SmokeReport:
        for error in errors:
            raise error
        return filled(SmokeReport)

    image = SimpleNamespace(packages=None)
    monkeypatch.setattr(Building, "prepare_root", lambda building, source: real.root())
    monkeypatch.setattr(Proving, "prepare_guest", lambda proving: image)
    monkeypatch.setattr(Inputs, "distro_package", lambda inputs, source: (theirs,))
    monkeypatch.setattr(Proving, "smoke", smoke)
    return errors


Run = Callable[..., Report]


@pytest.fixture
def genuine(archive: Archive, tmp_path: Path, proof: list[Exception]) -> Run:
    """Return a run of the archive's source; in its place that of a .dsc, if one is given."""

    def build(cache: Cache, dsc: Path | None = None) -> Report:
        request = Request(
            release=releases.find("bookworm"),
            fixes=fixes.all_fixes(),
            cache=cache,
            mirror=archive.url,
            keyring=archive.keyring,
        )
        return run.run(replace(request, dsc=dsc), tmp_path / "out")

    return build


def sums(done: Report) -> dict[str, str]:
    assert done.outcome is Outcome.FIXED and done.built
    return {deb.path.name: deb.sha256 for deb in done.built.debs}


def hits(done: Report) -> int:
    assert done.built
    return sum(n for name, n in done.built.ccache.items() if name.endswith("_cache_hit"))


def kept(cache: Cache) -> list[str]:
    return sorted(p.name for p in cache.directory("ccache").iterdir() if not p.is_dir())


def hostile(directory: Path, end: str) -> Path:
    return smallpackage.make(directory, VERSION, rules=HOSTILE.replace("END", end))


@pytest.mark.attack
@pytest.mark.needs("spatch")
def test_a_build_of_a_given_source_leaves_nothing_to_a_genuine_one(
    genuine: Run, tmp_path: Path
) -> None:
    """Whether it is proven or fails."""
    expected = sums(genuine(Cache(real.checked(tmp_path / "cold"))))
    cache = Cache(real.checked(tmp_path / "cache"))
    assert sums(genuine(cache)) == expected  # the first one says that ccache may be filled
    with pytest.raises(BuildError, match=r"the build of .* failed"):
        genuine(cache, hostile(tmp_path / "failing", "false"))
    evil = genuine(cache, hostile(tmp_path / "proven", "true"))
    assert sums(evil) != expected, "the attack has no effect even on its own package"
    after = genuine(cache)
    assert sums(after) == expected
    assert hits(after) == 0
    again = genuine(cache)
    assert sums(again) == expected
    assert hits(again) > 0, "what a genuine, proven build leaves is used"


@pytest.mark.attack
@pytest.mark.needs("spatch")
def test_a_source_that_is_not_proven_leaves_nothing(
    genuine: Run, tmp_path: Path, proof: list[Exception]
) -> None:
    """Even one that a signed index lists."""
    proof.append(SmokeFailed("made up"))
    cache = Cache(real.checked(tmp_path / "cache"))
    with pytest.raises(SmokeFailed):
        genuine(cache)
    assert kept(cache) == []
    proof.clear()
    assert sums(genuine(cache)) and kept(cache)


RESULT = "a/b/0eqc95dq8kbaq4dmdm68kb4efnrasseR"
GENUINE = "a/c/e7jevqsn0crq11tsmvrm071sl4d7b84M"


def member(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, to: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mtime = kind, size, to, 2**33
    info.mode, info.uid = 0o7777, 0
    return info


ODD = (
    *(member(name) for name in ("ccache.conf", "./ccache.conf", "a/ccache.conf", "CACHEDIR.TAG")),
    *(member(name) for name in ("stats", "a/stats", "tmp/inode-cache-64.v2", "evil", "a", "a/b")),
    *(member(f"{top}{RESULT}") for top in ("/", "../", "a/../", "x/", ".//")),
    *(member(f"{RESULT}{end}") for end in (".conf", "/x", "\\n", ".o.o", "\\0")),
    *(member(RESULT, kind, to="/etc/passwd") for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE)),
    *(member(RESULT, kind) for kind in (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)),
    *(member(RESULT, kind) for kind in (tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE)),
    member(RESULT, size=ccache.LARGEST + 1),
)


@pytest.mark.attack
def test_nothing_but_results_is_taken_out_of_a_container(
    tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    """Names, links, devices and sizes that ccache does not leave."""
    count("attack", len(ODD))
    for i, odd in enumerate(ODD):
        taken = tmp_path / f"{i}.tar"
        with tarfile.open(taken, "w") as tar:
            for info in (odd, member(GENUINE, size=7)):
                tar.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)
        cache = Cache(tmp_path / f"cache-{i}")
        assert ccache.keep(cache, "name", taken) == 1, odd.name
        with tarfile.open(cache.root / "ccache/name") as tar:
            (there,) = tar
        assert (there.name, there.size, there.mode) == (GENUINE, 7, 0o644)
        assert there.isreg() and (there.uid, there.gid) == (0, 0)
        assert there.mtime <= time.time()


@pytest.mark.fault
@pytest.mark.parametrize("spoil", ["", "x" * 600, "cut"])
def test_an_archive_that_is_none_is_refused_and_what_is_kept_stays(
    tmp_path: Path, spoil: str
) -> None:
    taken, cache = tmp_path / "taken.tar", Cache(tmp_path / "cache")
    with tarfile.open(taken, "w") as tar:
        tar.addfile(member(RESULT, size=2000), io.BytesIO(os.urandom(2000)))
    ccache.keep(cache, "name", taken)
    archive = cache.root / "ccache/name"
    before = archive.read_bytes()
    taken.write_bytes(taken.read_bytes()[:1500] if spoil == "cut" else spoil.encode())
    with pytest.raises(BuildError, match="could not keep"):
        ccache.keep(cache, "name", taken)
    assert kept(cache) == ["name"]
    assert archive.read_bytes() == before


@pytest.mark.fault
def test_what_is_kept_is_bounded_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ccache, "SIZE", 10_000)
    cache = Cache(tmp_path / "cache")
    for i in range(5):
        taken = tmp_path / f"{i}.tar"
        with tarfile.open(taken, "w") as tar:
            info = member(f"a/b/{i}{'0' * 30}R", size=3000)
            info.mtime = 1_000_000 + i
            tar.addfile(info, io.BytesIO(bytes(3000)))
        ccache.keep(cache, "name", taken)
    with tarfile.open(cache.root / "ccache/name") as tar:
        assert sorted(m.name[4] for m in tar) == ["2", "3", "4"]


@pytest.mark.attack
@pytest.mark.parametrize("other", ["trust", "assembler", "release"])
def test_the_ccache_of_another_trust_or_toolchain_is_another(other: str) -> None:
    """A root by the user's own keyring, another assembler, another release."""
    packages = real.root().packages
    trust, release = "distro", "debian-bookworm-amd64"
    own = ccache.name(release, packages, trust)
    changed = [replace(p, version="1") if p.name.startswith("binutils") else p for p in packages]
    names = {
        "trust": ccache.name(release, packages, "mine"),
        "assembler": ccache.name(release, changed, trust),
        "release": ccache.name("debian-trixie-amd64", packages, trust),
    }
    assert names[other] != own
    assert ccache.name(release, packages, "") == ""
