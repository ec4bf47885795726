# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nights of the workflows for GitHub and GitLab: every line of a shell in them is run here.

Each job has a new clone of the user's repository, the variables of the platform, and the artifacts
of the jobs before it. What the platforms themselves do (events, matrices, artifacts) is played;
respin is that of tests/support/worker.py.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support import engines, threereleases
from support.cli import CHECKOUT
from support.threereleases import Three

pytestmark = [pytest.mark.needs(program) for program in ("aptly", "jq", "rsync", "rclone")]

RELEASE = "bookworm"


@dataclass(kw_only=True)
class Platform:
    """A CI, as far as a job sees it."""

    directory: Path
    three: Three
    secrets: dict[str, str]
    artifacts: Path
    said: list[str] = field(default_factory=list)
    jobs: int = 0
    code: int = 0
    """The exit code that `night.sh collect` has to have."""

    def clone(self) -> Path:
        """Return the directory of a new job: a clone with what runners leave open to others."""
        self.jobs += 1
        place = self.directory / f"job-{self.jobs}"
        git("clone", "--quiet", self.directory / "origin.git", place)
        (place / "respin.toml").chmod(0o666)  # as GitLab's runners do
        return place

    def shell(self, place: Path, script: str, variables: dict[str, str]) -> str:
        """Run lines of a shell as a runner does; return the output."""
        code = self.code if script == "sh night.sh collect" else 0
        own = ("RESPIN_CONFIG", "RESPIN_STATE", "RESPIN_CACHE")
        environment = {k: v for k, v in self.three.environment.items() if k not in own}
        environment["PATH"] = f"{self.directory / 'sudo'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=place,
            env={**environment, **{k: str(v) for k, v in variables.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        self.said.append(done.stdout)
        assert done.returncode == code, f"{script}\n{done.stdout}"
        return done.stdout


def git(*args: str | Path) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@localhost")
    return subprocess.run(
        ["git", *who, *args], check=True, capture_output=True, text=True
    ).stdout.strip()


def committed(place: Path) -> str:
    """Make a repository of a directory; return the commit."""
    git("-C", place, "init", "--quiet", "--initial-branch=main")
    git("-C", place, "add", "--all")
    git("-C", place, "commit", "--quiet", "--message=x")
    return git("-C", place, "rev-parse", "HEAD")


def secret(home: Path) -> tuple[str, str]:
    """Return a secret key as the platform has it, and its fingerprint."""
    # By a short path, since that of gpg-agent's socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="respin-gpg-", dir="/tmp") as place:
        short = Path(place) / "home"
        short.symlink_to(home)
        gpg = ("gpg", "--homedir", str(short), "--batch")
        key = subprocess.run([*gpg, "--export-secret-keys"], check=True, capture_output=True).stdout
        listed = subprocess.run([*gpg, "--with-colons", "-K"], check=True, capture_output=True)
        subprocess.run(["gpgconf", "--homedir", short, "--kill", "all"], check=True)
    found = re.search(rb"^fpr:+([0-9A-F]+):", listed.stdout, re.MULTILINE)
    assert found
    return base64.b64encode(key).decode(), found[1].decode()


@contextmanager
def platform(directory: Path, ci: str) -> Iterator[Platform]:
    """Yield a platform with the user's repository, as docs/scale.md says to make it."""
    with threereleases.begin(directory, (RELEASE,)) as three:
        # respin as the jobs fetch it: a commit of a repository.
        tool = directory / "respin.git"
        (tool / "tools").mkdir(parents=True)
        shutil.copy(three.program, tool / "respin")
        shutil.copy(CHECKOUT / "tools/install-packages", tool / "tools")
        (tool / "packages.txt").write_text("# nothing is missing\n")
        commit = committed(tool)
        keys = {}
        for name in ("RESPIN_KEY", "RESPIN_WORKER_KEY"):
            threereleases.key(three, three.configure(directory / name))
            keys[name] = secret(directory / name / "state/gnupg")
        user = directory / "user"
        path = three.configure(user, state="", more='\n[trust]\nkeys = ["worker.asc"]\n')
        text = path.read_text().replace("[publish]", f'[publish]\nkey = "{keys["RESPIN_KEY"][1]}"')
        path.write_text(text)
        shutil.copy(directory / "RESPIN_WORKER_KEY/key.asc", user / "worker.asc")
        pushed = {"rsync_to": f"{directory}/rsync", "s3_bucket": "s3"}
        for name, text in engines.written(ci, ref=commit, **pushed).items():
            (user / name).parent.mkdir(parents=True, exist_ok=True)
            (user / name).write_text(text)
        committed(user)
        git("clone", "--quiet", "--bare", user, directory / "origin.git")
        (directory / "sudo").mkdir()
        (directory / "sudo/sudo").write_text(f'#!/bin/sh\necho "$@" >>"{directory}/as-root"\n')
        (directory / "sudo/sudo").chmod(0o755)
        (directory / "artifacts").mkdir()
        yield Platform(
            directory=directory,
            three=three,
            secrets={name: value for name, (value, _) in keys.items()},
            artifacts=directory / "artifacts",
        )


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


class Github:
    """Plays .github/workflows/iproute2.yml."""

    def __init__(self, here: Platform) -> None:
        self.here = here
        self.values = yaml(here.directory / "user/.github/workflows/iproute2.yml")

    def night(self) -> list[dict[str, str]]:
        """Play a night; return the matrix."""
        shutil.rmtree(self.here.artifacts)
        output = self.job("plan", {})
        assert output.startswith("runs=") and output.count("\n") == 1
        matrix: list[dict[str, str]] = json.loads(output.removeprefix("runs="))
        for row in matrix:
            self.job("run", row)
        self.job("collect", {})
        return matrix

    def job(self, name: str, matrix: dict[str, str]) -> str:
        """Run the steps of a job; return its outputs."""
        place = self.here.clone()
        job = self.values["jobs"][name]
        output = self.here.directory / f"output-{self.here.jobs}"
        output.touch()
        values = {f"matrix.{key}": value for key, value in matrix.items()}
        values |= {f"secrets.{key}": value for key, value in self.here.secrets.items()}

        def filled(text: object) -> str:
            return re.sub(
                r"\$\{\{ ([\w.]+).*? \}\}", lambda found: values.get(found[1], ""), str(text)
            )

        common = {**self.values["env"], **job.get("env", {}), "GITHUB_OUTPUT": output}
        for step in job["steps"]:
            given = {key: filled(value) for key, value in step.get("with", {}).items()}
            if "run" in step:
                variables = {**common, **step.get("env", {})}
                self.run(place, step["run"], {k: filled(v) for k, v in variables.items()})
            elif "upload-artifact" in step["uses"]:
                self.upload(place / given["path"], self.here.artifacts / given["name"])
            elif "download-artifact" in step["uses"]:
                for each in self.here.artifacts.glob(given.get("name") or given["pattern"]):
                    shutil.copytree(each, place / given.get("path", "."), dirs_exist_ok=True)
        return output.read_text()

    def run(self, place: Path, script: str, variables: dict[str, str]) -> None:
        """Run a step; the repository of respin, the pushes and S3 are directories here."""
        self.here.shell(place, script, local(self.here, variables))

    @staticmethod
    def upload(path: Path, to: Path) -> None:
        """Keep an artifact; it has to be there (if-no-files-found: error)."""
        to.mkdir(parents=True)
        assert path.exists(), path
        shutil.copytree(path, to, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, to)


def local(here: Platform, variables: dict[str, str]) -> dict[str, str]:
    """Return the variables with directories in place of what is on the network."""
    aliases = {"RCLONE_CONFIG_S3_TYPE": "alias", "RCLONE_CONFIG_S3_REMOTE": str(here.directory)}
    return {**variables, "REPOSITORY": str(here.directory / "respin.git"), **aliases}


class Gitlab:
    """Plays .gitlab-ci.yml, and the pipeline that its first job makes."""

    def __init__(self, here: Platform) -> None:
        self.here = here
        self.first = yaml(here.directory / "user/.gitlab-ci.yml")

    def night(self) -> list[dict[str, str]]:
        """Play a night; return the matrix."""
        place = self.job(self.first["plan"], self.first["variables"])
        made = place / "night.yml"
        check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
        subprocess.run([*check, str(made)], check=True, capture_output=True)
        values = yaml(made)
        rows: list[dict[str, str]] = json.loads((place / "plan.json").read_text())["runs"]
        runs = {name: job for name, job in values.items() if name.startswith("run ")}
        assert list(runs) == [f"run {row['name']}" for row in rows]
        kept = []
        for job in runs.values():
            assert job["extends"] == ".run"
            merged = {**values[".run"], **job}
            kept.append(self.job(merged, values["variables"], place / "plan.json"))
        self.job(values["collect"], values["variables"], *(each / "runs" for each in kept))
        return rows

    def job(self, job: dict[str, Any], common: dict[str, str], *artifacts: Path) -> Path:
        """Run the script of a job; return its directory, with its artifacts."""
        place = self.here.clone()
        for each in artifacts:
            if each.is_dir():
                shutil.copytree(each, place / each.name, dirs_exist_ok=True)
            else:
                shutil.copy(each, place)
        variables = {**common, **job.get("variables", {})}
        scope = {"worker": "RESPIN_WORKER_KEY", "apt": "RESPIN_KEY"}
        if name := scope.get(job.get("environment", {}).get("name")):
            variables[name] = self.here.secrets[name]
        for line in job["script"]:
            self.here.shell(place, line, local(self.here, variables))
        assert all((place / path).exists() for path in job["artifacts"]["paths"])
        return place


PLAYERS: dict[str, type[Github] | type[Gitlab]] = {"github": Github, "gitlab": Gitlab}


@pytest.mark.parametrize("ci", PLAYERS)
def test_two_nights(ci: str, tmp_path: Path) -> None:
    """The first builds, publishes and pushes; the second knows that nothing is due."""
    with platform(tmp_path, ci) as here:
        player = PLAYERS[ci](here)
        matrix = player.night()
        assert [row["architecture"] for row in matrix] == list(threereleases.ARCHITECTURES)
        version = threereleases.VERSIONS[RELEASE]
        last = tmp_path / f"job-{here.jobs}"
        public = last / "public"
        page = (public / "index.html").read_text()
        assert f"{version}+bpf1" in page and "none needs attention" in page
        for each in threereleases.ARCHITECTURES:
            assert list(public.glob(f"{RELEASE}/**/iproute2_{version}+bpf1_{each}.deb"))
        for pushed in ("rsync", "s3"):
            assert (tmp_path / pushed / "index.html").read_text() == page
        assert player.night() == []
        no_secret_is_left(here)
        if ci == "github":
            an_archive_is_broken(here, Github(here))


def an_archive_is_broken(here: Platform, player: Github) -> None:
    """Hold that the plan goes on without it, and that the night fails in the end, with its code."""
    (here.three.distros[0].root / f"dists/{RELEASE}/InRelease").write_text("x")
    shutil.rmtree(here.artifacts)
    assert player.job("plan", {}) == "runs=[]\n"
    here.code = 10
    player.job("collect", {})
    assert list((here.artifacts / "github-pages").iterdir())


def no_secret_is_left(here: Platform) -> None:
    """Hold that no job printed a key, or left one on the disk or in the branch of the state."""
    for value in here.secrets.values():
        assert not any(value[:60] in said for said in here.said)
    needles = [value[40:100].encode() for value in here.secrets.values()]
    needles += [base64.b64decode(value)[50:84] for value in here.secrets.values()]
    needles.append(b"PRIVATE KEY")
    state = here.directory / "job-state"
    git("clone", "--quiet", "--branch=respin-state", here.directory / "origin.git", state)
    assert (state / "state.sqlite").exists()
    for top in here.directory.glob("job-*"):
        for path in top.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                assert not any(needle in data for needle in needles), path
        assert not list(top.rglob("private-keys-v1.d"))
