# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every option that names a file or a directory x everything that is neither."""

from __future__ import annotations

from collections.abc import Iterator

from support.inputs.rows import Row, row

NO_FILES = (
    *("fifo", "socket", "folder", "missing", "dangling", "loop", "toolong", "sparse"),
    *("zero", "full", "mem", "belowfile"),
)
"""Things that cannot be read as a file."""
NO_CONTENT = ("empty", "binary", "deep", "latin", "text")
"""Files without useful content."""

CONFIGS = (
    "releases --config {}",
    "run --release bookworm --config {}",
    "fetch --config {}",
    "patch --config {}",
    "nightly --config {}",
    "status --config {}",
    "history --config {}",
    "retry --config {}",
    "forget bookworm --config {}",
    "withdraw bookworm 1-1+bpf1 --why bad --config {}",
    "key init --config {}",
    "smoke --deb {deb} --config {}",
)
LOCKS = ("run --locked {}", "fetch --locked {}", "patch --locked {}")
SOURCES = (
    "run --release bookworm --dsc {}",
    "patch --release bookworm --dsc {}",
    "diagnose --dsc {}",
)
OBJECTS = ("run --release bookworm --object {}", "smoke --deb {deb} --object {}")
PACKAGES = ("smoke --deb {}", "smoke --deb {deb} --against {}")
KEYRINGS = (
    "run --release bookworm --mirror {archive} --keyring {}",
    "smoke --release bookworm --deb {deb} --mirror {archive} --keyring {}",
)
RUNS = ("patch {}", "build {}", "prove {}", "publish {}")
DIRECTORIES = (
    "diagnose --tree {}",
    "run --release bookworm --tree {}",
    "fetch --release bookworm --tree {}",
)
OUTS = ("fetch --release bookworm --dsc {dsc} --out {}", "patch {fetched} --out {}")
CACHES = ("fetch --release bookworm --dsc {dsc} --cache {}", "smoke --deb {deb} --cache {}")
NO_OUTS = (
    *("fifo", "socket", "folder", "dangling", "loop", "toolong", "zero", "full", "mem"),
    *("belowfile", "text", "deepout"),
)
NO_CACHES = ("fifo", "socket", "loop", "toolong", "zero", "full", "belowfile", "text")


def _each(calls: tuple[str, ...], things: tuple[str, ...], code: int) -> Iterator[Row]:
    for call in calls:
        for thing in things:
            yield row(call.replace("{}", f"{{{thing}}}"), code)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    yield from _each(CONFIGS, NO_FILES, 2)
    yield from _each(CONFIGS[:2], ("binary", "deep", "latin", "text"), 2)
    yield from _each(LOCKS, (*NO_FILES, *NO_CONTENT), 2)
    yield from _each(SOURCES, ("folder", "missing", "dangling", "loop", "toolong"), 2)
    yield from _each(SOURCES, ("fifo", "socket", "sparse", "zero", "full", "mem"), 10)
    yield from _each(SOURCES, NO_CONTENT, 10)
    yield from _each(OBJECTS, (*NO_FILES, *NO_CONTENT, "x86", "cut", "nobits", "counted"), 2)
    yield from _each(PACKAGES, ("folder", "missing", "dangling", "loop", "toolong"), 2)
    yield from _each(PACKAGES, ("fifo", "socket", "sparse", "zero", *NO_CONTENT), 14)
    yield from _each(PACKAGES, ("ar", "noarchitecture", "notc", "odd"), 14)
    yield from _each(PACKAGES, ("foreign",), 15)
    yield from _each(KEYRINGS, NO_FILES, 2)
    yield from _each(RUNS, ("text", "fifo", "missing", "loop", "toolong", "zero"), 2)
    yield from _each(RUNS, ("folder", "norun", "deeprun", "binaryrun", "fiforun", "listrun"), 2)
    yield from _each(DIRECTORIES, ("text", "fifo", "missing", "loop", "toolong", "zero"), 2)
    yield from _each(OUTS, NO_OUTS, 2)
    yield from _each(CACHES, NO_CACHES, 2)
