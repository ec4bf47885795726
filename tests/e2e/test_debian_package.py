# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package: built, judged by lintian, installed on a bare Debian 12, and put to work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian import deb822
from support import debianpackage, project, real
from support.cli import CHECKOUT
from support.debianpackage import BareRoot, Package, run

from pipeline import __version__
from pipeline.cli import doctor
from pipeline.config import config

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
SYSTEM = "lib/systemd/system"
UNITS = ("respin-nightly.service", "respin-nightly.timer")
NOT_RESPINS = {"passwd"}
"""What only the package's own scripts need: usermod."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return debianpackage.build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def installed(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareRoot]:
    """Install the package with what it depends on, and nothing that is only recommended."""
    directory = tmp_path_factory.mktemp("machine")
    directory.chmod(0o755)
    shared = directory / "shared"
    shared.mkdir()
    shutil.copy(package.deb, shared)
    shutil.copy(CHECKOUT / "tests/support/respin.toml", shared)
    shutil.copytree(CHECKOUT / "tests/golden/fixes/v5.11-libbpf/in", shared / "v5.11")
    root = BareRoot(directory / "root", shared)
    # Somebody has the first range of ids, and a group has the end of the second.
    (root.path / "etc/subuid").write_text("somebody:100000:65536\n")
    (root.path / "etc/subgid").write_text("somebody:231000:65536\n")
    for argv in (["update"], ["install", "--yes", f"/srv/{package.deb.name}"]):
        done = root.call("apt-get", "--quiet", *argv)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    yield root
    # It is a whole Debian with compilers: not kept, as pytest would for three runs.
    subprocess.run(["rm", "-rf", "--one-file-system", root.path], check=True)


def relations(text: str) -> set[str]:
    """Return the names of the packages in a field such as Depends, but for substvars."""
    parsed = deb822.PkgRelation.parse_relations(text)
    return {each["name"] for alternatives in parsed for each in alternatives}


def test_the_package_depends_on_what_packages_txt_lists() -> None:
    text = (CHECKOUT / "debian/control").read_text()
    _, binary = deb822.Deb822.iter_paragraphs(text, use_apt_pkg=False)
    depends = ", ".join(d for d in binary["Depends"].split(",") if "$" not in d)
    needs = doctor.needs()
    nightly = {need.package for need in needs if need.stages == ("nightly",)}
    listed = {name for need in needs for name in need.package.split("|")}
    assert relations(depends.strip(", ")) - NOT_RESPINS == listed - nightly
    assert relations(binary["Recommends"].strip().strip(",")) == nightly


def test_the_version_is_that_of_respin() -> None:
    newest = (CHECKOUT / "debian/changelog").read_text().splitlines()[0]
    assert newest.startswith(f"iproute2-respin ({__version__}) ")


def test_lintian_says_nothing(package: Package) -> None:
    """Not even of the level of info, or pedantic; but each knows the Policy of its own release."""
    lintian = ["lintian", "--display-info", "--pedantic", "--fail-on=error,warning,info,pedantic"]
    lintian += ["--suppress-tags=out-of-date-standards-version,newer-standards-version"]
    options = ["--allow-root"] if os.geteuid() == 0 else []
    said = run([*lintian, *options, package.changes], HOME=str(package.changes.parent))
    assert (said.returncode, said.stdout) == (0, ""), said.stderr


def test_the_same_package_elsewhere(package: Package, tmp_path: Path) -> None:
    """In another directory, time zone and language, with another umask and user's PATH."""
    other = debianpackage.build(
        tmp_path, "--build=all", umask=0o077, TZ="Pacific/Kiritimati", LC_ALL="C", PATH="/bin"
    )
    assert other.deb.read_bytes() == package.deb.read_bytes()


def test_a_build_leaves_nothing_for_git(package: Package) -> None:
    def git(*argv: str) -> str:
        done = run(["git", "-C", package.tree, *argv], HOME="/nonexistent")
        assert done.returncode == 0, done.stderr
        return done.stdout

    ours = {str(path.relative_to(CHECKOUT)) for path in project.tracked()}
    git("init", "--quiet")
    assert {*git("ls-files", "-z", "--others", "--exclude-standard").split("\0")} - {""} == ours
    assert ours < {*git("ls-files", "-z", "--others").split("\0")}
    done = subprocess.run(["debian/rules", "clean"], cwd=package.tree, capture_output=True)
    assert done.returncode == 0, done.stderr
    left = {*git("ls-files", "-z", "--others").split("\0")} - {""} - ours
    # Python writes those wherever it reads.
    assert {name for name in left if "__pycache__" not in name} == set()


@ROOT
def test_doctor_and_diagnose_work_at_once(installed: BareRoot) -> None:
    (installed.path / "root/click.py").write_text("raise SystemExit('not the library')\n")
    said = installed.call("respin", "--version", PYTHONPATH="/root")
    assert (said.returncode, said.stdout) == (0, f"respin, version {__version__}\n")
    for user in ("", "respin"):
        said = installed.call("respin", "doctor", "--json", user=user)
        assert said.returncode == 0, said.stdout + said.stderr
        lacking = {c["what"] for c in json.loads(said.stdout) if not c["ok"]}
        # The last is for the releases of another distro than this host's.
        assert lacking - {"/dev/kvm"} == {"aptly", "gpg", "gpg-agent", "ubuntu-keyring"}
    said = installed.call("respin", "diagnose", "--json", "--tree", "/srv/v5.11", user="respin")
    assert said.returncode == 0, said.stderr
    verdicts = {f["fix"]: f["verdict"] for f in json.loads(said.stdout)["fixes"]}
    assert verdicts == {"af-alg": "fixed", "libbpf-legacy-maps": "needed", "stt-object": "fixed"}


@ROOT
def test_the_user_of_the_nightly(installed: BareRoot) -> None:
    """It has ids that nobody else has, and keeps them; state and cache are its own."""

    def ids() -> list[str]:
        return [(installed.path / "etc" / f).read_text() for f in ("subuid", "subgid")]

    ours = "respin:296536:65536\n"
    assert ids() == [f"somebody:100000:65536\n{ours}", f"somebody:231000:65536\n{ours}"]
    again = installed.call("dpkg-reconfigure", "iproute2-respin")
    assert again.returncode == 0, again.stderr
    assert all(text.endswith(ours) and text.count("respin") == 1 for text in ids())
    said = installed.call("stat", "--format=%U:%G %a", "/var/lib/respin", "/var/cache/respin")
    assert said.stdout == "respin:respin 755\nrespin:respin 700\n"


def test_the_example_is_a_configuration() -> None:
    nightly = config.load(CHECKOUT / "docs/examples/respin.toml").nightly
    assert str(nightly.state) == "/var/lib/respin"


@ROOT
def test_the_units_are_valid_and_not_enabled(installed: BareRoot) -> None:
    verify = ("systemd-analyze", "verify", "--man=no", *(f"/{SYSTEM}/{unit}" for unit in UNITS))
    said = installed.call(*verify)
    assert (said.returncode, said.stderr) == (0, "")
    assert "[Install]" not in (installed.path / SYSTEM / UNITS[0]).read_text()
    assert not list((installed.path / "etc/systemd").rglob("respin*"))
    broken = installed.path / SYSTEM / UNITS[0]
    whole = broken.read_text()
    broken.write_text(whole.replace("/usr/bin/respin", "/usr/bin/no-respin"))
    assert installed.call(*verify).returncode != 0
    broken.write_text(whole)


@ROOT
def test_shells_complete_its_commands(installed: BareRoot) -> None:
    script = (
        ". /usr/share/bash-completion/completions/respin && COMP_WORDS=(respin diag) COMP_CWORD=1"
        ' && _respin_completion respin && echo "${COMPREPLY[@]}"'
    )
    said = installed.call("bash", "-c", script)
    assert (said.returncode, said.stdout) == (0, "diagnose\n"), said.stderr
    zsh = (installed.path / "usr/share/zsh/vendor-completions/_respin").read_text()
    assert zsh.startswith("#compdef respin\n")


@ROOT
@pytest.mark.slow  # test_hosts.py: a whole run with the same packages, which this depends on
def test_a_whole_run(installed: BareRoot) -> None:
    """By the user of the nightly, with an empty cache: Debian's own 6.1.0-3, fixed and proven."""
    argv = ["respin", "run", "--release", "bookworm", "--version", real.VERSION, "--json"]
    argv += ["--cache", "/var/cache/respin", "--out", "/var/lib/respin/out"]
    said = installed.call(*argv, user="respin", RESPIN_CONFIG="/srv/respin.toml")
    assert said.returncode == 0, said.stderr
    report = json.loads(said.stdout)
    assert report["outcome"] == "fixed"
    names = [Path(deb["path"]).name for deb in report["built"]["debs"]]
    assert f"iproute2_{real.VERSION}+bpf1_amd64.deb" in names


@ROOT
def test_the_package_tests_itself(installed: BareRoot, package: Package, tmp_path: Path) -> None:
    """By autopkgtest, in a plain chroot."""
    argv = ("autopkgtest", "--output-dir", tmp_path / "out", package.dsc, package.deb)
    said = installed.beside(*argv, "--", "chroot", installed.path)
    assert said.returncode == 0, said.stdout[-4000:] + said.stderr[-4000:]
    summary = (tmp_path / "out" / "summary").read_text().split()
    assert sorted(summary) == ["PASS", "PASS", "diagnose", "doctor"]


@ROOT
def test_purging_keeps_the_key(installed: BareRoot) -> None:
    """The cache goes; the state, where the key of the repository is, stays."""
    said = installed.call("dpkg", "--purge", "iproute2-respin")
    assert said.returncode == 0, said.stderr
    assert not (installed.path / "var/cache/respin").exists()
    assert (installed.path / "var/lib/respin").is_dir()
    assert not (installed.path / "usr/lib/python3/dist-packages/pipeline").exists()
