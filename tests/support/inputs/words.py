# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Invalid words: names, numbers, versions, addresses; and a machine that lacks something."""

from __future__ import annotations

from collections.abc import Iterator

from support.inputs.rows import Row, fault, row

LONG = "x" * 5000
DSC = "fetch --release bookworm --dsc {dsc}"

RELEASES = ("bokworm", "''", "' '", "12345", "debian:", "ubuntu:bookworm", ":", "../etc", LONG)
NUMBERS = ("0", "-1", "1000", "1e3", "''", "1.5", "0x10", "99999999999999999999", "one")
VERSIONS = ("-o", "1:2:3-", "''", "' '", "6.1.0-3/../x", "a", f"1{LONG}", "'6.1.0-3 x'", "1:")
ADDRESSES = ("''", "x", "http:", "http://", "'http://a b/'", "ftp://127.0.0.1/", "javascript:x")
NAMES = ("''", "nonsense", "../x", LONG, "'a b'")


def _commands() -> Iterator[Row]:
    for words in ("nonsense", "run nonsense", "--nonsense", "run --nonsense", "key nonsense"):
        yield row(words, 2)
    for words in ("", "key", "init"):
        yield row(words, 2, "nothing", says="Usage: ")
    for words in ("run --release", "completion", "completion tcsh", "diagnose", "forget"):
        yield row(words, 2)
    for words in ("withdraw bookworm", "withdraw bookworm 1 --why", "smoke", "build", "prove"):
        yield row(words, 2)
    for words in ("publish", "init github", "init kubernetes", "diagnose --tree . --dsc x"):
        yield row(words, 2)
    for words in ("run --dsc {dsc} --tree .", "run --locked {text} --release bookworm"):
        yield row(words, 2)


def _words() -> Iterator[Row]:
    for value in RELEASES:
        yield row(f"run --release {value}", 2)
        yield row(f"smoke --deb {{deb}} --release {value}", 2)
    for value in NUMBERS:
        yield row(f"run --release bookworm --number {value}", 2)
    for value in VERSIONS:
        yield row(f"run --release bookworm --version={value}", 2)
    for value in NAMES:
        for option in ("--fix", "--case", "--way", "--container", "--pocket"):
            yield row(f"run --release bookworm {option} {value}", 2)
        for option in ("--case", "--way", "--place"):
            yield row(f"smoke --deb {{deb}} {option} {value}", 2)
        for option in ("--accept-unsigned-source", "--image"):
            yield row(f"run --release bookworm {option} {value}", 2)
        yield row(f"diagnose --tree . --fix {value}", 2)
        yield row(f"publish {{norun}} --to {value}", 2)
    for value in ADDRESSES:
        yield row(f"run --release bookworm --mirror {value}", 2)
        yield row(f"smoke --deb {{deb}} --release bookworm --mirror {value}", 2)
    for value in ("''", "dput", "dput:", "dput:-x", "http://x"):
        yield row(f"publish {{fetched}} --to {value}", 2)
    yield row("publish {fetched}", 17)
    for command in ("status", "history", "retry", "forget bookworm"):
        yield row(command, 2, "no state")


def _not_text() -> Iterator[Row]:
    for words in ("run --out a\udcff", "run --dsc \udcff", "run --release \udcff", "\udcff"):
        yield row(words, 2, "not UTF-8", says="is not UTF-8")
    for name in ("RESPIN_CACHE", "RESPIN_CONFIG", "RESPIN_STATE", "TMPDIR"):
        yield row(DSC, 2, f"{name} is not UTF-8", env={name: "/tmp/\udcff"}, says="is not UTF-8")


def _environment() -> Iterator[Row]:
    for thing in ("fifo", "socket", "folder", "missing", "loop", "toolong", "zero", "binary"):
        for command in ("releases", "run --release bookworm", "status"):
            yield row(command, 2, f"RESPIN_CONFIG: {thing}", env={"RESPIN_CONFIG": f"{{{thing}}}"})
        yield row("releases", 2, f"respin.toml: {thing}", here={"respin.toml": f"{{{thing}}}"})
    for thing in ("fifo", "text", "loop", "toolong", "zero"):
        yield row(DSC, 2, f"RESPIN_CACHE: {thing}", env={"RESPIN_CACHE": f"{{{thing}}}"})
        yield row("nightly", 2, f"RESPIN_STATE: {thing}", env={"RESPIN_STATE": f"{{{thing}}}"})
        yield row("status", 2, f"RESPIN_STATE: {thing}", env={"RESPIN_STATE": f"{{{thing}}}"})
        yield row("key init", 2, f"RESPIN_STATE: {thing}", env={"RESPIN_STATE": f"{{{thing}}}"})


def _machine() -> Iterator[Row]:
    for command in ("releases", "--help", "--version", "completion bash", "init cron --program /r"):
        code = 2
        yield fault(
            command,
            code,
            "standard output is full",
            out="/dev/full",
            says="write to standard output",
        )
        yield fault(
            command, code, "standard output is closed", closed=(1,), says="write to standard output"
        )
    for command, code in (("run --release bokworm", 2), ("releases", 0), ("nonsense", 2)):
        yield fault(command, code, "standard error is full", err="/dev/full", prints=True)
        yield fault(command, code, "standard error is closed", closed=(2,), prints=True)
        yield fault(command, code, "standard input is closed", closed=(0,), prints=True)
        yield fault(command, code, "no TERM, no LANG", env={"TERM": None, "LANG": None})
        yield fault(command, code, "a locale that is none", env={"LC_ALL": "xx_YY.latin1"})
    for command in ("run --release bookworm", DSC, "releases", "status", "diagnose --tree ."):
        yield fault(
            command, 2, "the current directory is gone", gone=True, says="current directory"
        )
    yield fault(DSC, 2, "no descriptors", limits={"RLIMIT_NOFILE": 6})
    yield fault(DSC, 2, "no file may be written", limits={"RLIMIT_FSIZE": 0}, err="/dev/null")
    yield fault("smoke --deb {deb}", 2, "no program", env={"PATH": "/nonexistent"})


def rows() -> Iterator[Row]:
    """Yield all rows."""
    yield from _commands()
    yield from _words()
    yield from _not_text()
    yield from _environment()
    yield from _machine()
