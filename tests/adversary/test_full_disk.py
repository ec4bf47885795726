# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk becomes full, in every directory that respin writes to, at several moments.

The error says so, with the stage's exit code, and never blames what was being read ("the source
package itself is broken"); nothing unfinished is left on the disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cli, packages
from support.archive import Archive, Signer

SCRIPT = Path(cli.__file__).with_name("fullcall.py")
GOLDEN = cli.CHECKOUT / "tests/golden/fixes/v4.10-three-functions/in"

CALLS = {
    # name: bytes that are free, exit code, words
    "out-at-once": (0, 10, "fetch {source} --out {disk}/out"),
    "out-in-the-source": (4096, 10, "fetch {source} --out {disk}/out"),
    "out-unpacking": (400_000, 10, "patch {source} --out {disk}/out"),
    "cache-at-once": (0, 2, "fetch {source} --cache {disk}/cache"),
    "cache-in-the-lists": (16_000, 10, "fetch {source} --cache {disk}/cache"),
    "unit": (0, 2, "init systemd --program /respin --out {disk}"),
    "key": (0, 17, "key init --config {state}"),
    "night": (0, 2, "nightly --config {state}"),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    directory = tmp_path_factory.mktemp("archive")
    with Signer("distro") as signer, Archive(directory, signer) as serving:
        files = {str(p.relative_to(GOLDEN)): p.read_text() for p in GOLDEN.rglob("*.[ch]")}
        files["ballast"] = "x" * 900_000  # unpacked it is larger than the disk
        serving.add_source(packages.make_source(directory / "source", files=files))
        serving.publish()
        yield serving


def on_small_disk(
    directory: Path, size: str, *args: str | Path
) -> subprocess.CompletedProcess[str]:
    """Call respin where a directory is a small disk, in mounts that nobody else sees."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    path = [str(cli.CHECKOUT), str(cli.CHECKOUT / "tests"), *sys.path]
    return subprocess.run(
        [
            *("unshare", *own, "--mount", "sh", str(SCRIPT.with_name("small-disk.sh"))),
            *(directory, size, sys.executable, "-W", "error", SCRIPT, *args),
        ],
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, path))},
        cwd=directory.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.fault
@pytest.mark.parametrize("name", CALLS)
def test_a_disk_that_becomes_full(name: str, archive: Archive, tmp_path: Path) -> None:
    free, code, words = CALLS[name]
    disk, config = tmp_path / "disk", tmp_path / "respin.toml"
    disk.mkdir()
    config.write_text(f'[nightly]\nreleases = ["bookworm"]\nstate = "{disk}/state"\n')
    source = f"--release bookworm --mirror {archive.url} --keyring {archive.keyring}"
    filled = words.format(disk=disk, state=config, source=source)
    cache = [] if "--cache" in filled or "--config" in filled or "init" in filled else ["--cache"]
    more: list[str | Path] = [*cache, *([tmp_path / "cache"] if cache else [])]
    done = on_small_disk(disk, "1m", disk, str(free), *filled.split(), *more)
    said = done.stderr
    assert done.returncode == code, said
    assert said.startswith("respin: ") and "Traceback" not in said
    assert "No space left on device" in said or "disk is full" in said or "disk filled up" in said
    assert "itself is broken" not in said and "is not signed by" not in said
    left = done.stdout.splitlines()
    kept = ("cache/", "state/gnupg/", "state/")
    assert [line for line in left if not line.startswith(kept)] == [], left


@pytest.mark.fault
def test_with_room_the_same_calls_go_through(archive: Archive, tmp_path: Path) -> None:
    """The control: it is the disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    source = ["--mirror", archive.url, "--keyring", str(archive.keyring)]
    argv: list[str | Path] = ["patch", "--release", "bookworm", *source, "--out", disk / "out"]
    argv += ["--cache", tmp_path / "cache"]
    done = on_small_disk(disk, "64m", disk, str(60 << 20), *argv)
    assert done.returncode == 0, done.stderr
    assert list(disk.iterdir()) == []
