# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns apt's complaints into a brief and a hint for the user.

What apt says of a signature or a date depends on its version and on the program that it asks; so
respin judges the index itself (privateroot.py).
"""

from __future__ import annotations

import re

from pipeline.errors import FetchError

_STOPPED = r"(?m)^stopped after [\d.]+ s$"
"""What host/command.py says of a program that was not done in time."""

_SNAPSHOT = re.compile(r"/archive/[a-z-]+/\d{8}T\d{6}Z\b")
"""What the address of snapshot's archive of a time ends with (source/superseded.py)."""

_MIRROR = "use another mirror (--mirror)"
_KEPT = "of a release past its end of life, name the archive that keeps it with --mirror"

LOGIN = "check the user and the password in the auth-file of [release.NAME] in respin.toml"

_LACKS = "the archive lacks a file that its signed index lists"

_MEANING: tuple[tuple[str, str, str], ...] = (
    (
        r"does not have a Release file|no longer has a Release file|404 +Not Found \[.*\].*Release",
        "the archive does not have this release",
        f"check the release's name; {_KEPT}",
    ),
    (
        _STOPPED,
        "the archive is too slow: it was not done in time",
        f"try again later, or {_MIRROR}",
    ),
    (
        r"File too large",  # strerror(EFBIG): the bound that privateroot.py sets
        "a file is larger than any archive's",
        f"{_MIRROR}: this one sends what is made to fill the disk",
    ),
    (
        r"401 +Unauthorized",
        "the archive wants a login, or does not accept the one that it got",
        LOGIN,
    ),
    (
        r"Hash Sum mismatch|unexpected size|Size mismatch|Hashes of expected file",
        "a file is not the one that the signed index lists",
        f"try again later (the mirror may be in the middle of an update) or {_MIRROR}",
    ),
    (
        r"404 +Not Found|File not found|No such file",
        _LACKS,
        f"{_MIRROR}, or another version (--version)",
    ),
    (
        r"Could not connect|Connection refused|Could not resolve|Temporary failure resolving"
        r"|timed out|Network is unreachable|Unable to connect|No route to host|connect \(",
        "the archive cannot be reached",
        f"check the network and the proxy (http_proxy), or {_MIRROR}",
    ),
    (
        r"Failed to fetch \S+ +[45]\d\d ",
        "the archive answered with an error",
        f"try again later, or {_MIRROR}",
    ),
    (
        r"Connection (failed|reset|closed)|closed the connection|Error reading from server"
        r"|Undetermined Error|Data left in file|incomplete|Invalid file format",
        "a download ended before the file was whole",
        f"try again, or {_MIRROR}",
    ),
    (
        r"No space left on device",
        "the disk is full",
        "make room in the cache directory, or name another one with --cache DIR",
    ),
)

_MISSING_SUITE = re.compile(
    r"^E: The repository '(?P<uri>\S+) (?P<suite>\S+) (?:In)?Release'"
    r" (?:does not have|no longer has) a Release file",
    re.MULTILINE,
)


def explain(failed: FetchError, doing: str) -> FetchError:
    """Return the error with apt's words made plain; ``doing`` is what was being done."""
    brief, hint = _meaning(failed) or (
        "apt failed",
        failed.hint or f"see what apt says about it, or {_MIRROR}",
    )
    if _SNAPSHOT.search(f"{doing}\n{failed.details}"):  # --at and --mirror exclude each other
        hint = hint.replace(_MIRROR, "name another snapshot under [archives] in respin.toml")
        hint = hint.replace(_KEPT, "snapshot may not have it as it was at that time")
    return FetchError(f"{doing}: {brief}", details=failed.details, hint=hint)


def known(failed: FetchError) -> bool:
    """Tell whether apt says something that explain() understands."""
    return _meaning(failed) is not None


def _meaning(failed: FetchError) -> tuple[str, str] | None:
    """Return a brief and a hint for what apt says; None if it says something else."""
    text = f"{failed.brief}\n{failed.details}"
    return next(
        ((brief, hint) for pattern, brief, hint in _MEANING if re.search(pattern, text)), None
    )


def lacks_file(failed: FetchError) -> bool:
    """Tell whether an explained error is that the archive lacks a file."""
    return failed.brief.endswith(_LACKS)


def stopped(failed: FetchError) -> bool:
    """Tell whether apt was stopped, so that what it has fetched may be incomplete."""
    return re.search(_STOPPED, failed.details) is not None


def missing_suites(output: str) -> frozenset[tuple[str, str]]:
    """Return the (URI, suite) pairs that apt-get update found not to exist."""
    return frozenset(
        (match["uri"].rstrip("/"), match["suite"]) for match in _MISSING_SUITE.finditer(output)
    )
