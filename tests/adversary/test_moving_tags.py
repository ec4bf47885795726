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

from pipeline.cli.init import init

COMMIT = "3f786850e387550fdab836ed7e6dc881de23001b"
CI = ("github", "gitlab")
PIN = f"docker.io/library/debian@sha256:{'a' * 64}"


def argv(ci: str, out: Path, *more: str) -> list[str]:
    words = [ci, "--repository", "https://git.example.org/x.git", "--out", str(out), *more]
    return [*words, "--image", PIN] if ci == "gitlab" and "--image" not in more else words


@pytest.mark.attack
@pytest.mark.parametrize("ci", CI)
def test_the_tag_of_an_action_or_of_an_image_is_moved(ci: str, tmp_path: Path) -> None:
    """Actions go by commit, images by digest, respin by what the caller said."""
    done = CliRunner().invoke(init, argv(ci, tmp_path, "--ref", COMMIT), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    text = "".join(Path(path).read_text() for path in done.stdout.splitlines())
    uses = re.findall(r"uses: *(\S+)(.*)", text)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name, _ in uses), uses
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", tag) for _, tag in uses), "say which it is"
    images = re.findall(r"(?:image|- name|container): *(\S+)", text)
    images = [name for name in images if "${{" not in name]
    assert all(re.fullmatch(r'"[\w./:-]+@sha256:[0-9a-f]{64}"', name) for name in images), images
    assert bool(uses) == (ci == "github") and bool(images) == (ci == "gitlab")
    assert "latest" not in text and COMMIT in text
    assert not re.search(r"\bapk\b|curl|wget|\bpip\b|\bnpm\b", text)


@pytest.mark.attack
def test_the_tag_of_the_jobs_image_is_moved(tmp_path: Path) -> None:
    """Nothing but a digest names it."""
    for bad in ("docker.io/library/debian:bookworm", PIN[:-1], f"{PIN} --x", "", "@sha256:"):
        words = argv("gitlab", tmp_path, "--ref", COMMIT, "--image", bad)
        assert CliRunner().invoke(init, words).exit_code != 0, bad
    assert not list(tmp_path.iterdir())


@pytest.mark.attack
@pytest.mark.parametrize("ci", CI)
def test_a_branch_of_respin_s_is_moved(ci: str, tmp_path: Path) -> None:
    """Which commit a CI runs is never a default of ours, and a name that may move is said."""
    assert CliRunner().invoke(init, argv(ci, tmp_path)).exit_code == 2
    said = CliRunner().invoke(init, argv(ci, tmp_path, "--ref", "v1.0"))
    assert said.exit_code == 0 and "v1.0 is a name that can move" in said.stderr
    said = CliRunner().invoke(init, argv(ci, tmp_path / "2", "--ref", COMMIT))
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
    stages = set(re.findall(r"^FROM .* AS (\S+)", text, re.M))
    images = set(re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", text, re.M)) - stages
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
