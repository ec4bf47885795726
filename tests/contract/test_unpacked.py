# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""tc and ip as files: they run wherever they are put, with none of the libraries around them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import cli, inprocess, real, standin
from support.packages import make_source

from pipeline import run as pipeline_run
from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError
from pipeline.files.elf import Elf
from pipeline.host.cache import file_sha256
from pipeline.host.progress import Journal
from pipeline.model import GuestPackages
from pipeline.releases import releases
from pipeline.runs import libraries, lockfile, lockfile_reader, report, unpacked
from pipeline.runs.report import Report
from pipeline.runs.report_reader import read
from pipeline.runs.request import Request
from pipeline.smoke import guest_image, tested_packages
from pipeline.vm.machine import machine_for


@functools.cache
def guest(architecture: str = "") -> GuestPackages:
    """Return what the root of the release's guest is made of."""
    archive: AptArchive = real.archive(architecture=architecture)
    names = [*guest_image._settings()["root"]["packages"], "iproute2"]
    root = tuple(archive.closure(names))
    return GuestPackages(root=root, kernel=root[:1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unneeded(tmp_path_factory.mktemp("unpacked"))


def unneeded(directory: Path, architecture: str = "") -> Path:
    """Make the directory of a run in which the distro's package needed no fix, and was proven."""
    dsc = make_source(directory / "made", version=real.VERSION)
    run = standin.make(directory / "run", dsc, releases.find("bookworm"), good=False)
    (run / "control").mkdir()
    archive: AptArchive = real.archive(architecture=architecture)
    deb = archive.fetch_binary("iproute2", real.VERSION, run / "control")
    found = replace(read(run), architecture=archive.architecture, control=(deb,))
    report.write(report.moved(found, run, run), run)
    locked = lockfile_reader.read(run / lockfile.NAME)
    lockfile.write(replace(locked, guest=guest(architecture), path=None), run)
    return run


def respin(*args: str | Path) -> cli.Said:
    return inprocess.respin(*args, env={"RESPIN_CACHE": str(real.cache().root)})


@pytest.fixture(scope="module")
def files(made: Path) -> Path:
    dest = made.parent / "tc"
    said = respin("tc", made, "--out", dest)
    assert said.status == 0, said.err
    assert said.out.splitlines() == [str(dest / "tc"), str(dest / "ip")]
    return dest


def says(*argv: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env}
    return subprocess.run(argv, env=base, text=True, capture_output=True, check=False)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): b"" if p.is_dir() else p.read_bytes()
        for p in directory.rglob("*")
    }


def test_they_run(files: Path) -> None:
    for name in ("tc", "ip"):
        done = says(files / name, "-V")
        assert done.returncode == 0 and done.stdout.startswith(f"{name} utility, iproute2-6.1.0")
    assert "lo" in says(files / "ip", "-brief", "link").stdout
    assert sorted(p.name for p in files.iterdir()) == ["copyright", "ip", "lib", "package", "tc"]
    assert {"libc6", "libbpf1", "libelf1"} <= {p.name for p in (files / "copyright").iterdir()}


def test_they_run_wherever_they_are(files: Path, tmp_path: Path) -> None:
    """Moved, in a directory with a space, and by a link that leads there."""
    moved = tmp_path / "a b/(c)&'d"
    shutil.copytree(files, moved, symlinks=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tc").symlink_to("../a b/(c)&'d/tc")
    for argv in ((moved / "tc", "-V"), (tmp_path / "bin/tc", "-V")):
        assert says(*argv).stdout.startswith("tc utility")
    done = says("sh", "-c", "tc -V", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.stdout.startswith("tc utility") and done.returncode == 0
    # The control: without its libraries, it is nothing.
    shutil.rmtree(moved / "lib")
    assert says(moved / "tc", "-V").returncode != 0


HIDDEN = """for each in "$@"; do mount --bind /dev/null "$each" || exit 99; done
"$TC" -V; echo "ours $?"; /usr/sbin/tc -V; echo "here $?"
"""


@pytest.mark.needs("/usr/sbin/tc")
def test_the_libraries_around_do_not_matter(files: Path) -> None:
    """Where the system lacks them, its own tc does not start, and this one does."""
    directory = Path("/usr/lib") / machine_for(real.archive().architecture).multiarch
    names = ("libbpf.so.1", "libmnl.so.0", "libelf.so.1")
    hide = [str((directory / name).resolve()) for name in names if (directory / name).exists()]
    assert hide, "this machine has some of them"
    argv = ("unshare", "--map-root-user", "--mount", "sh", "-c", HIDDEN, "sh", *hide)
    done = says(*argv, TC=str(files / "tc"))
    assert "ours 0" in done.stdout and "here 127" in done.stdout, done


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a directory with a short path: tc has 128 bytes for that of a distribution."""
    with tempfile.TemporaryDirectory(prefix="tc-") as place:
        yield Path(place)


def test_plugins_are_those_beside_it(files: Path, short: Path) -> None:
    """netem's distributions are read before the kernel is asked; this one is nowhere else."""
    moved = short / "moved"
    shutil.copytree(files, moved, symlinks=True)
    normal = next((moved / "package").rglob("tc/normal.dist"))
    shutil.copy(normal, normal.with_name("ours-alone.dist"))
    argv = (
        "unshare",
        "--map-root-user",
        "--net",
        moved / "tc",
        "qdisc",
        "add",
        "dev",
        "lo",
        "root",
    )
    netem = (*argv, "netem", "delay", "10ms", "1ms", "distribution", "ours-alone")
    assert "No distribution data" not in says(*netem).stderr
    assert "/nowhere/ours-alone.dist" in says(*netem, TC_LIB_DIR="/nowhere").stderr


@pytest.mark.needs("shellcheck")
def test_the_wrappers_are_plain_shell(files: Path) -> None:
    done = says("shellcheck", "--norc", "--shell=sh", files / "tc", files / "ip")
    assert done.returncode == 0, done.stdout


def test_a_run_that_also_unpacks(
    made: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`respin run --unpacked DIR` proves what it unpacks, and leaves what `respin tc` does."""
    asked: list[Request] = []

    def run(request: Request, out: Path, journal: Journal | None = None) -> Report:
        asked.append(request)
        shutil.copytree(made, out)
        return read(out)

    monkeypatch.setattr(pipeline_run, "run", run)
    args = ("run", "--release", "bookworm", "--out", tmp_path / "out", "--unpacked")
    said = respin(*args, tmp_path / "tc")
    assert said.status == 0, said.err
    assert [request.prove for request in asked] == [True]
    assert said.out.splitlines() == [str(tmp_path / "tc/tc"), str(tmp_path / "tc/ip")]
    assert contents(tmp_path / "tc") == contents(files)
    # It is refused before anything runs, not after minutes.
    for dest, more in ((tmp_path / "tc", ()), (tmp_path / "new", ("--architecture", "all"))):
        said = respin(*args, dest, *more)
        assert said.status == 2 and len(asked) == 1, said.err


def test_what_is_refused(made: Path, files: Path, tmp_path: Path) -> None:
    """One sentence, and nothing is left."""
    said = respin("tc", made, "--out", files)
    assert said.status == 2 and "already exists" in said.err
    said = respin("tc", made, "--out", tmp_path / "no/such")
    assert said.status == 2 and "is not a directory" in said.err
    said = respin("tc", tmp_path, "--out", tmp_path / "tc")
    assert said.status == 2 and not (tmp_path / "tc").exists()
    # What was not proven has no libraries that are known to fit.
    other = tmp_path / "run"
    shutil.copytree(made, other)
    lock = json.loads((other / lockfile.NAME).read_text())
    (other / lockfile.NAME).write_text(json.dumps({**lock, "guest": None}))
    said = respin("tc", other, "--out", tmp_path / "tc")
    assert said.status == 2 and "respin prove" in said.err
    # The package is not the one that was proven.
    (other / lockfile.NAME).write_text(json.dumps(lock))
    (deb,) = (other / "control").glob("*.deb")
    deb.write_bytes(deb.read_bytes() + b"x")
    said = respin("tc", other, "--out", tmp_path / "tc")
    assert said.status == 10 and "has changed since its run" in said.err
    assert not (tmp_path / "tc").exists() and not list(tmp_path.glob(".respin-tc-*"))


def test_it_says_who_vouches(made: Path, tmp_path: Path) -> None:
    """A report says of itself what it likes; only a trusted key says who made it."""
    said = respin("tc", made, "--out", tmp_path / "tc")
    assert said.status == 0
    assert "not verified" in said.err and "may be anybody's" in " ".join(said.err.split())
    assert "do not run on this machine" not in " ".join(said.err.split())


def test_the_package_is_a_copy_when_it_is_checked(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the run replaces it as soon as its content has been compared."""
    run = tmp_path / "run"
    shutil.copytree(made, run)
    (deb,) = (run / "control").glob("*.deb")

    def compared(path: Path) -> str:
        found = file_sha256(path)
        deb.write_bytes(b"another")
        return found

    monkeypatch.setattr(unpacked, "file_sha256", compared)
    said = respin("tc", run, "--out", tmp_path / "tc")
    assert said.status == 0, said.err
    assert deb.read_bytes() == b"another" and (tmp_path / "tc/tc").exists()


def test_a_library_that_the_release_lacks(made: Path, tmp_path: Path) -> None:
    tar = guest_image.root_tar(real.archive(), guest().root, real.cache(), None)
    control = next((made / "control").glob("*.deb"))
    machine = machine_for(real.archive().architecture)
    debs = tested_packages.with_programs([control], machine.architecture)
    unpacked.write(debs, tar, tmp_path / "whole", machine.multiarch)
    tc = next(p for p in (tmp_path / "whole/package").rglob("sbin/tc") if not p.is_symlink())
    assert "libbpf.so.1" in Elf(tc.read_bytes()).needed
    # A name that is as long as another one's: the file stays what it is.
    tc.write_bytes(tc.read_bytes().replace(b"libbpf.so.1\0", b"libxyz.so.1\0"))
    with pytest.raises(FetchError, match=r"tc needs libxyz\.so\.1, which"):
        libraries.find([tc], [], tar, machine.multiarch)
    tc.write_bytes(tc.read_bytes().replace(b"libxyz.so.1\0", b"../../etc/x\0"))
    with pytest.raises(FetchError) as caught:
        libraries.find([tc], [], tar, machine.multiarch)
    assert "is not the name of a library" in caught.value.details
    assert os.access(tmp_path / "whole/tc", os.X_OK)


def test_those_of_another_architecture(tmp_path: Path, files: Path) -> None:
    """They are whole, for a machine of that architecture, and it is said that this one is none."""
    foreign = "arm64" if real.archive().architecture != "arm64" else "amd64"
    made, dest = unneeded(tmp_path, foreign), tmp_path / "tc"
    said = respin("tc", made, "--out", dest)
    assert said.status == 0, said.err
    told = " ".join(said.err.split())
    assert f"tc and ip in {dest} are for {foreign} and do not run on this machine" in told
    ours = sorted(p.name for p in files.iterdir())
    assert sorted(p.name for p in dest.iterdir()) == ours
    (loader,) = (dest / "lib").glob("ld-*.so*")
    kinds = [machines_in(directory) for directory in (dest, files)]
    assert [len(each) for each in kinds] == [1, 1] and kinds[0] != kinds[1]
    program = next(p for p in (dest / "package").rglob("sbin/tc") if not p.is_symlink())
    elf = Elf(program.read_bytes())
    assert Path(elf.interpreter).name == loader.name
    assert set(elf.needed) <= {p.name for p in (dest / "lib").iterdir()}
    wrapper = (dest / "tc").read_text()
    assert f"loader={loader.name}\n" in wrapper
    assert f"program={program.relative_to(dest)}\n" in wrapper


def machines_in(directory: Path) -> set[tuple[bytes, bytes]]:
    """Return the classes, byte orders and machines of its programs and libraries (elf(5))."""
    paths = (p for p in directory.rglob("*") if p.is_file() and not p.is_symlink())
    heads = {p.read_bytes()[:20] for p in paths}
    return {(head[4:6], head[18:20]) for head in heads if head.startswith(b"\x7fELF")}
