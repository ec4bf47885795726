# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker can move a tag or a branch that a CI workflow or the Dockerfile names, or stands
between them and a download. The aim is to run in the CI, or to be part of the image, without a
change in the repository that uses it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.cli import CHECKOUT

from pipeline.cli import ci_workflow
from pipeline.cli.init import init

COMMIT = "3f786850e387550fdab836ed7e6dc881de23001b"


def workflow(ci: str, out: Path, *more: str) -> str:
    argv = [ci, "--repository", "https://git.example.org/x.git", "--ref", COMMIT]
    done = CliRunner().invoke(init, [*argv, "--out", str(out), *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return (out / ci_workflow.PATHS[ci]).read_text()


@pytest.mark.attack
@pytest.mark.parametrize("ci", ci_workflow.PATHS)
def test_the_tag_of_an_action_or_of_an_image_is_moved(ci: str, tmp_path: Path) -> None:
    """Actions go by commit, images by digest, respin by what the caller said."""
    text = workflow(ci, tmp_path)
    uses = re.findall(r"uses: *(\S+)(.*)", text)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name, _ in uses), uses
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", tag) for _, tag in uses), "say which it is"
    images = re.findall(r"(?:image|- name): *(\"?[\w.]+/\S+|docker\S+)", text)
    assert all(re.fullmatch(r'"[\w./:-]+@sha256:[0-9a-f]{64}"', name) for name in images), images
    assert len(uses) == (ci == "github") and len(images) == 2 * (ci == "gitlab")
    assert "latest" not in text and COMMIT in text
    assert not re.search(r"\bapk\b|curl|wget|\bpip\b|\bnpm\b", text)


@pytest.mark.attack
@pytest.mark.parametrize("ci", ci_workflow.PATHS)
def test_the_tag_of_a_base_image_is_moved(ci: str, tmp_path: Path) -> None:
    """The caller can pin what a release is built on, and nothing but a digest pins it."""
    pin = f"debian@sha256:{'a' * 64}"
    more = ["--release", "bookworm", "--release", "trixie", "--image", f"12={pin}"]
    text = workflow(ci, tmp_path / "pinned", *more, "--tools-image", pin)
    assert len(re.findall(rf'(?i)base: "{pin}"', text)) == 2
    assert '${BASE:+--build-arg "BASE=$BASE"}' in text
    argv = [ci, "--repository", "https://git.example.org/x", "--ref", COMMIT, "--release", "12"]
    for bad in ("12=debian:bookworm", f"12={pin[:-1]}", f"12={pin} --x", "12=", f"noble={pin}"):
        done = CliRunner().invoke(init, [*argv, "--out", str(tmp_path), "--image", bad])
        assert done.exit_code != 0, bad
    assert not (tmp_path / ci_workflow.PATHS[ci]).exists()


@pytest.mark.attack
@pytest.mark.parametrize("ci", ci_workflow.PATHS)
def test_a_branch_of_respin_s_is_moved(ci: str, tmp_path: Path) -> None:
    """Which commit a CI runs is never a default of ours, and a name that may move is said."""
    argv = [ci, "--repository", "https://git.example.org/x", "--out", str(tmp_path)]
    assert CliRunner().invoke(init, argv).exit_code == 2
    said = CliRunner().invoke(init, [*argv, "--ref", "v1.0"])
    assert said.exit_code == 0 and "v1.0 is a name that can move" in said.stderr
    said = CliRunner().invoke(init, [*argv[:-1], str(tmp_path / "2"), "--ref", COMMIT])
    assert said.exit_code == 0 and not said.stderr


@pytest.mark.attack
def test_an_image_or_a_program_that_a_template_takes_from_elsewhere() -> None:
    """No file pulls `:latest`, pipes a download into a shell, or tells apt to believe anything;
    each image of the Dockerfile is one that the caller can name by digest."""
    wrong = re.compile(
        r":latest\b|curl|wget|allow-unauthenticated|Allow\w* \"?(true|yes|1)|--no-check-cert"
        r"|--force-yes|\[trusted=yes|^Trusted: *yes|--no-gpg-check|add-apt-repository"
    )
    of = [CHECKOUT / "Dockerfile", CHECKOUT / "Makefile"]
    of += [CHECKOUT / "pipeline/containers/images.toml"]
    of += [*CHECKOUT.glob("templates/**/*"), *CHECKOUT.glob("tools/**/*")]
    for path in of:
        if path.is_file():
            found = wrong.search(path.read_text(errors="replace"))
            assert found is None, f"{path}: {found and found.group()}"
    text = (CHECKOUT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.M))
    images = set(re.findall(r"^FROM (\S+)", text, re.M)) - stages
    assert images == {"${BASE}", "${TOOLS_BASE}", "scratch"}
    assert not re.search(r"^(ADD|# *syntax)\b", text, re.M)


@pytest.mark.attack
def test_the_build_s_context_takes_secrets_along() -> None:
    """.dockerignore lets nothing in that the Dockerfile does not copy."""
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    text = (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)", text, re.M)
        for word in line.split()[:-1]
    ]
    for name in kept:
        assert any(word == name or word.startswith(f"{name}/") for word in copied), name
    for word in copied:
        assert any(word == name or word.startswith(f"{name}/") for name in kept), word
