# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patched source package, as dpkg-source, quilt and lintian see it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from support import real

from pipeline.errors import PatchError
from pipeline.fixes import diagnose, fixes, patch
from pipeline.model import Patched, Verdict
from pipeline.releases import releases
from pipeline.source import fetch

GOLDEN = Path(__file__).parents[1] / "golden/fixes"
CHANGELOG = """iproute2 ({version}) unstable; urgency=medium

  * For this test.

 -- Nobody <nobody@example.org>  Thu, 01 Jan 2015 00:00:00 +0000
"""
CONTROL = """Source: iproute2
Section: net
Priority: optional
Maintainer: Nobody <nobody@example.org>
Standards-Version: 4.6.2
Build-Depends: debhelper-compat (= 13), libbpf-dev

Package: iproute2
Architecture: any
Description: for this test
"""
BOTH = ["libbpf-legacy-maps", "stt-object"]


def _dpkg_source(directory: Path, *words: str | Path) -> None:
    subprocess.run(["dpkg-source", *words], cwd=directory, check=True, capture_output=True)


def made(directory: Path, form: str, *, version: str = "6.1.0-3") -> Path:
    """Make a source package with both defects, in a source format; return its .dsc.

    A quilt package has a patch of its own on the same file already, and a series without a
    newline at its end.
    """
    upstream = version.partition("-")[0]
    tree = directory / f"iproute2-{upstream}"
    shutil.copytree(GOLDEN / "both-defects/in", tree)
    shutil.rmtree(tree / "debian")
    if form != "3.0 (native)":
        with tarfile.open(directory / f"iproute2_{upstream}.orig.tar.gz", "w:gz") as tar:
            tar.add(tree, tree.name)
    debian = tree / "debian"
    (debian / "source").mkdir(parents=True)
    (debian / "changelog").write_text(CHANGELOG.format(version=version))
    (debian / "control").write_text(CONTROL)
    (debian / "rules").write_text("#!/usr/bin/make -f\n%:\n\tdh $@\n")
    (debian / "rules").chmod(0o755)
    if form:
        (debian / "source/format").write_text(f"{form}\n")
    else:
        (debian / "source").rmdir()
    if form == "3.0 (quilt)":
        (debian / "patches").mkdir()
        (debian / "patches/own.patch").write_text(
            "Description: a patch of the distro\n"
            "--- a/lib/bpf_legacy.c\n+++ b/lib/bpf_legacy.c\n@@ -1,2 +1,3 @@\n"
            " /* Written for this test: the parts of iproute2's loader that the fixes concern. */\n"
            "+/* And patched. */\n \n"
        )
        (debian / "patches/series").write_text("# the distro's\nown.patch")
    _dpkg_source(directory, "-b", tree.name)
    shutil.rmtree(tree)
    return next(directory.glob("*.dsc"))


def patched(dsc: Path, directory: Path, names: list[str]) -> Patched:
    """Return what the patch stage makes of a .dsc."""
    source = fetch.local(dsc, directory / "source", releases.find("bookworm"))
    tree = fetch.unpack(source, directory / "tree")
    return patch.patch(source, tree, fixes.choose(names), directory / "patched")


def verdicts(result: Patched, directory: Path) -> dict[str, Verdict]:
    """Unpack a patched source package and diagnose it for the two defects that it had."""
    _dpkg_source(directory, "--no-check", "-x", result.dsc, "unpacked")
    found = diagnose.diagnose(directory / "unpacked", fixes.all_fixes())
    return {f.fix: f.verdict for f in found if f.fix in BOTH}


def quilt_push(dsc: Path, directory: Path) -> str:
    """Apply all patches of a source package by quilt, no fuzz allowed; return what it says."""
    _dpkg_source(directory, "--no-check", "--skip-patches", "-x", dsc, "plain")
    done = subprocess.run(
        ["quilt", "--quiltrc", "-", "push", "-a", "--fuzz=0"],
        cwd=directory / "plain",
        env={"PATH": "/usr/bin:/bin", "QUILT_PATCHES": "debian/patches", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.needs("quilt")
def test_quilt(tmp_path: Path) -> None:
    result = patched(made(tmp_path, "3.0 (quilt)"), tmp_path, BOTH)
    assert verdicts(result, tmp_path) == dict.fromkeys(BOTH, Verdict.FIXED)
    series = (tmp_path / "unpacked/debian/patches/series").read_text().splitlines()
    assert series == ["# the distro's", "own.patch", *(f"respin-{name}.patch" for name in BOTH)]
    said = quilt_push(result.dsc, tmp_path)
    for name in BOTH:
        assert f"Applying patch respin-{name}.patch" in said
    assert "fuzz" not in said and "offset" not in said
    changelog = (tmp_path / "unpacked/debian/changelog").read_text()
    assert "iproute2 (6.1.0-3+bpf1) unstable" in changelog
    assert "(debian/patches/respin-stt-object.patch)" in changelog


@pytest.mark.parametrize(
    ("form", "version", "difference"),
    [
        ("1.0", "6.1.0-3", "iproute2_6.1.0-3+bpf1.diff.gz"),
        ("", "6.1.0-3", "iproute2_6.1.0-3+bpf1.diff.gz"),
        ("3.0 (native)", "6.1.0", "iproute2_6.1.0+bpf1.tar.xz"),
    ],
)
def test_straight_in(tmp_path: Path, form: str, version: str, difference: str) -> None:
    result = patched(made(tmp_path, form, version=version), tmp_path, BOTH)
    assert (tmp_path / "patched" / difference).is_file()
    assert verdicts(result, tmp_path) == dict.fromkeys(BOTH, Verdict.FIXED)
    assert not (tmp_path / "unpacked/debian/patches").exists()
    assert "debian/patches" not in (tmp_path / "unpacked/debian/changelog").read_text()
    # The patches alone are there all the same, and say the same change.
    for name in BOTH:
        text = (tmp_path / f"patched/patches/respin-{name}.patch").read_text()
        subprocess.run(
            ["patch", "-p1", "--fuzz=0"], input=text, text=True, cwd=tmp_path / "tree", check=True
        )
    for file in ("lib/bpf_legacy.c", "lib/bpf_libbpf.c", "include/bpf_util.h"):
        assert (tmp_path / "tree" / file).read_text() == (tmp_path / "unpacked" / file).read_text()


def test_the_same_again(tmp_path: Path) -> None:
    dsc = made(tmp_path, "3.0 (quilt)")
    one, two = (patched(dsc, tmp_path / n, BOTH) for n in "12")
    for file in sorted(one.dsc.parent.glob("*.*")):
        assert file.read_bytes() == (two.dsc.parent / file.name).read_bytes(), file.name


def test_a_patch_of_that_name_is_there(tmp_path: Path) -> None:
    dsc = made(tmp_path, "3.0 (quilt)")
    source = fetch.local(dsc, tmp_path / "source", releases.find("bookworm"))
    tree = fetch.unpack(source, tmp_path / "tree")
    (tree / "debian/patches/respin-stt-object.patch").write_text("")
    with pytest.raises(PatchError, match=r"already has debian/patches/respin-stt-object\.patch"):
        patch.patch(source, tree, fixes.choose(["stt-object"]), tmp_path / "patched")
    assert not (tmp_path / "patched").exists()
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".patch-")] == []


def _tags(dsc: Path) -> set[str]:
    done = subprocess.run(
        # The test may run as root; no configuration of this machine's.
        ["lintian", "--no-cfg", "--allow-root", "-I", "--pedantic", "-E", "--fail-on", "none", dsc],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in done.stdout.splitlines() if re.match(r"[A-Z]: ", line)}


@pytest.mark.needs("lintian")
@pytest.mark.parametrize(
    ("form", "new"),
    [
        ("3.0 (quilt)", set()),
        # What is asked for, by its name: the change is straight in the diff.
        ("1.0", {"P: iproute2 source: direct-changes-in-diff-but-no-patch-system"}),
    ],
)
def test_lintian(form: str, new: set[str], tmp_path: Path) -> None:
    """It has nothing to say of the headers of both fixes, nor of what else was changed."""
    dsc = made(tmp_path, form)
    found = _tags(patched(dsc, tmp_path, BOTH).dsc) - _tags(dsc)
    assert {" ".join(tag.split()[:4]) for tag in found} == new


@pytest.mark.e2e
@pytest.mark.needs("lintian")
@pytest.mark.needs("quilt")
def test_the_real_one(tmp_path: Path) -> None:
    result = patched(real.dsc(), tmp_path, ["libbpf-legacy-maps"])
    said = quilt_push(result.dsc, tmp_path)
    assert "respin-libbpf-legacy-maps.patch" in said
    assert "fuzz" not in said and "offset" not in said
    assert _tags(result.dsc) - _tags(real.dsc()) == set()
    # Lintian reads the header: without its fields it has something to say.
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in result.dsc.parent.iterdir():
        if file.is_file() and ".debian." not in file.name and file.suffix != ".dsc":
            shutil.copy(file, broken)
    _dpkg_source(broken, "--no-check", "-x", result.dsc, "iproute2-6.1.0")
    header = broken / "iproute2-6.1.0/debian/patches/respin-libbpf-legacy-maps.patch"
    header.write_text(re.sub(r"\A.*?(?=^--- a/)", "", header.read_text(), flags=re.S | re.M))
    _dpkg_source(broken, "-b", "iproute2-6.1.0")
    assert any("respin-libbpf" in tag for tag in _tags(next(broken.glob("*.dsc"))))
