# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Dockerfile, built for real, and the same package out of every kind of container.

No registry can be reached where these tests run: the base image is made by mmdebstrap, as
the official one is made by debootstrap, and goes by BASE and TOOLS_BASE.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import baseimage, cli, engine, real, wholerun

from pipeline.build import build
from pipeline.containers import images
from pipeline.containers.engines import OciRoots
from pipeline.containers.oci_engine import LABEL, OciEngine
from pipeline.errors import FetchError, RespinError, UsageError
from pipeline.host.cache import file_sha256
from pipeline.host.progress import QUIET
from pipeline.runs import report_reader
from pipeline.runs.report import Outcome

pytestmark = pytest.mark.e2e
BASE = "iproute2-respin-test-base"
FIXED = "iproute2-respin-test:bookworm"
README = cli.CHECKOUT / "README.md"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a build by the classic builder."""

    text: str
    cached: bool


@pytest.fixture(scope="module")
def docker() -> Iterator[OciEngine]:
    """Return Docker with a base image; all images with our label are gone in the end."""
    with engine.docker() as found:
        baseimage.bookworm(found, BASE)
        yield found
        for image in found.ids("image", "--all"):
            found.call("image", "rm", "--force", image, check=False)


def docker_build(*argv: str | Path, buildkit: bool = False) -> str:
    """Build an image and return what was said; fail with it if it failed."""
    done = subprocess.run(
        ["docker", "build", "--force-rm", "--network=host", f"--label={LABEL}=test", *argv],
        env={**os.environ, "DOCKER_BUILDKIT": str(int(buildkit))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def fixed(*more: str) -> str:
    """Build the Dockerfile as README says, over the base image of the tests."""
    args = [f"--build-arg=BASE={BASE}", f"--build-arg=TOOLS_BASE={BASE}"]
    return docker_build(*args, "--build-arg=RELEASE=bookworm", *more, cli.CHECKOUT)


def steps(said: str) -> list[Step]:
    """Return the steps of a build by the classic builder."""
    parts = re.split(r"^Step \d+/\d+ : ", said, flags=re.MULTILINE)[1:]
    return [Step(text=p.splitlines()[0], cached="---> Using cache" in p) for p in parts]


def step(said: str, word: str) -> Step:
    """Return the only step that has a word in it."""
    found = [each for each in steps(said) if word in each.text]
    assert len(found) == 1, found
    return found[0]


def copied(docker: OciEngine, image: str, dest: Path) -> Path:
    """Copy all that an image holds to a directory."""
    box = docker.call("container", "create", f"--label={LABEL}", image, "nothing").text.strip()
    docker.call("container", "cp", f"{box}:/", dest)
    docker.call("container", "rm", box)
    return dest


@pytest.fixture(scope="module")
def built(docker: OciEngine, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Build the whole Dockerfile once; return what was said, and the directory of its image."""
    said = fixed(f"--tag={FIXED}")
    return said, copied(docker, FIXED, tmp_path_factory.mktemp("image") / "out")


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of `respin patch` on this machine."""
    out = tmp_path_factory.mktemp("patched") / "out"
    argv = ["patch", "--release", "bookworm", "--version", real.VERSION, "--out", str(out)]
    done = cli.respin(*argv, cache=real.cache().root)
    assert done.status == 0, done.err
    return out


def sums(directory: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(directory.glob("*.deb"))}


def test_image_holds_the_packages_the_patch_and_the_report(
    built: tuple[str, Path], tmp_path: Path
) -> None:
    out = built[1]
    # What docker itself puts into a container when it is made is not ours.
    names = {path.name for path in out.iterdir()} - {"dev", "etc", "proc", "sys", ".dockerenv"}
    assert names == {"debs", "patches", "report.json", "tc"}
    said = subprocess.run([out / "tc/tc", "-V"], text=True, capture_output=True, check=True)
    assert said.stdout.startswith("tc utility, iproute2-6.1.0")
    deb = next((out / "debs").glob("iproute2_*.deb"))
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path], check=True)
    assert file_sha256(out / "tc/package/sbin/tc") == file_sha256(tmp_path / "sbin/tc")
    report = json.loads((out / "report.json").read_text())
    assert report["outcome"] == Outcome.FIXED
    patches = sorted(p.name for p in (out / "patches").iterdir())
    assert patches == ["respin-af-alg.patch", "respin-libbpf-legacy-maps.patch"]
    assert {Path(deb["path"]).name: deb["sha256"] for deb in report["built"]["debs"]} == sums(
        out / "debs"
    )


def test_was_proven_inside_the_build(built: tuple[str, Path]) -> None:
    report = json.loads((built[1] / "report.json").read_text())
    cases = {row["case"]: row for row in report["smoke"]["cases"] if row["way"] == "tc"}
    hash_map = cases["pinned-hash"]
    assert hash_map["before"]["seen"] == "refused" and hash_map["after"]["seen"] == "loads"
    assert hash_map["after"]["counted"] == hash_map["after"]["sent"] > 0
    assert step(built[0], "pipeline prove").text.startswith("RUN")


def test_is_the_package_of_every_other_container(
    docker: OciEngine,
    built: tuple[str, Path],
    patched: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """`make deb` builds in namespaces; Docker as a container of the pipeline gives the same."""
    assert sums(wholerun.debian_12(tmp_path_factory)[0] / "debs") == sums(built[1] / "debs")
    source = report_reader.read(patched).patched
    assert source is not None
    root = build.prepare(
        real.archive(),
        real.dsc(),
        real.cache(),
        log_dir=tmp_path,
        stage=QUIET,
        engine=OciRoots(engine=docker, image="scratch", why="a test"),
    )
    made = build.build(
        root,
        source.dsc,
        source.version,
        source.epoch,
        tmp_path / "docker",
        cache=real.cache(),
        log_dir=tmp_path,
        stage=QUIET,
    )
    assert made.container == "docker"
    assert sums(tmp_path / "docker") == sums(built[1] / "debs")


@pytest.mark.slow  # test_three_architectures.py: the same package, built in namespaces
def test_for_another_architecture(docker: OciEngine, tmp_path: Path) -> None:
    """It is cross-built in the same image, and proven on a machine of its own."""
    tag = "iproute2-respin-test:arm64"
    said = fixed("--build-arg=ARCHITECTURE=arm64", f"--tag={tag}")
    # It cannot be installed in an image of this machine's architecture.
    assert "_arm64.deb is not installed: this image is of" in said
    out = copied(docker, tag, tmp_path / "out")
    report = json.loads((out / "report.json").read_text())
    assert (report["outcome"], report["architecture"]) == (Outcome.FIXED, "arm64")
    names = [Path(deb["path"]).name for deb in report["built"]["debs"]]
    assert names and all("_arm64." in name for name in names)
    cases = {row["case"]: row for row in report["smoke"]["cases"] if row["way"] == "tc"}
    hash_map = cases["pinned-hash"]
    assert hash_map["before"]["seen"] == "refused" and hash_map["after"]["seen"] == "loads"


def test_a_new_version_installs_nothing_again(built: tuple[str, Path]) -> None:
    """Only the number is new: the tools and the build dependencies come from the cache."""
    said = fixed("--build-arg=NUMBER=2", "--target=build-depends")
    assert (
        step(said, "sh /respin/tools/tools.sh").cached
        and step(said, "sh /respin/prepare.sh").cached
    )
    assert not step(said, "pipeline patch").cached
    assert "6.1.0-3+bpf2" in said


def test_a_new_commit_installs_nothing_again(built: tuple[str, Path], tmp_path: Path) -> None:
    """A change of ours runs the pipeline again, and neither tools nor build dependencies."""
    names = ["Dockerfile", "pipeline", "patches", "templates", "packages.txt", "tools"]
    subprocess.run(["cp", "-R", *(cli.CHECKOUT / name for name in names), tmp_path], check=True)
    with (tmp_path / "pipeline" / "__init__.py").open("a") as f:
        f.write("\n# a new commit\n")
    args = [f"--build-arg=BASE={BASE}", f"--build-arg=TOOLS_BASE={BASE}"]
    said = docker_build(*args, "--target=build-depends", tmp_path)
    assert (
        step(said, "sh /respin/tools/tools.sh").cached
        and step(said, "sh /respin/prepare.sh").cached
    )
    assert not step(said, "pipeline patch").cached


def image_from(docker: OciEngine, name: str, *lines: str) -> str:
    """Make an image over the base and return its name."""
    text = "\n".join([f"FROM {BASE}", *lines]).encode()
    label = f"--label={LABEL}=test"
    docker.call("image", "build", label, "--network=host", f"--tag={name}", "-", stdin=text)
    return name


@pytest.fixture(scope="module")
def trixie(docker: OciEngine) -> str:
    """Return an image that says it is Debian 13."""
    return image_from(
        docker,
        "iproute2-respin-test:trixie",
        "RUN sed -i 's/bookworm/trixie/g; s/12/13/g' /usr/lib/os-release",
    )


@pytest.fixture(scope="module")
def no_apt(docker: OciEngine) -> str:
    """Return an image without apt-get."""
    return image_from(docker, "iproute2-respin-test:no-apt", "RUN rm /usr/bin/apt-get")


@pytest.mark.parametrize(("wrong", "words"), [("trixie", "of Debian"), ("no_apt", "no apt-get")])
def test_a_base_image_that_will_not_do(
    built: tuple[str, Path], request: pytest.FixtureRequest, wrong: str, words: str
) -> None:
    base = request.getfixturevalue(wrong)
    args = [f"--build-arg=BASE={base}", f"--build-arg=TOOLS_BASE={BASE}"]
    with pytest.raises(AssertionError, match=f"respin: the base image .*{words}"):
        docker_build(*args, "--target=build-depends", cli.CHECKOUT)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ("trixie", UsageError, r"is Debian GNU/Linux 13 \(trixie\), not debian bookworm"),
        ("no_apt", UsageError, "has no apt-get"),
        ("127.0.0.1:9/none:latest", FetchError, "could not pull the image"),
    ],
)
def test_an_image_that_will_not_do(
    docker: OciEngine,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    wrong: str,
    error: type[RespinError],
    words: str,
) -> None:
    image = wrong if "/" in wrong else request.getfixturevalue(wrong)
    release = real.archive().release
    before = set(docker.ids("image", "--all"))
    with pytest.raises(error, match=words):
        images.base(docker, release, image, tmp_path / "log")
    assert docker.ids("container", "--all") == []
    assert set(docker.ids("image", "--all")) == before
    assert images.base(docker, release, BASE, tmp_path / "log"), "the right one is taken"


def test_the_readme_s_image_has_a_tc_that_is_fixed(
    docker: OciEngine, built: tuple[str, Path], tmp_path: Path
) -> None:
    example = re.search(r"^    FROM .*?(?=^\S)", README.read_text(), re.MULTILINE | re.DOTALL)
    assert example, "README has an example of a Dockerfile"
    text = re.sub(r"^    ", "", example.group(), flags=re.MULTILINE)
    text = text.replace("iproute2-fixed:bookworm", FIXED).replace("debian:bookworm", BASE)
    (tmp_path / "Dockerfile").write_text(text)
    docker_build("--tag=iproute2-respin-test:mine", tmp_path)
    argv = ["container", "run", "--rm", "--network=none", "iproute2-respin-test:mine"]
    assert docker.call(*argv, "tc", "-V").text.startswith("tc utility")
    argv += ["dpkg-query", "--show", "--showformat=${Version}", "iproute2"]
    assert docker.call(*argv).text == f"{real.VERSION}+bpf1"
