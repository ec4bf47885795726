# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns apt's complaints into a brief and a hint for the user."""

from __future__ import annotations

import re

from pipeline.errors import FetchError

_MEANING: tuple[tuple[str, str, str], ...] = (
    # Order matters: a bad signature is also reported as a failure to fetch.
    (
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|[Ii]nvalid signature|GPG error"
        r"|Clearsigned file isn't valid|couldn't be verified",
        "an index is not signed by a key of the keyring",
        "use another mirror (--mirror), or update the distro's keyring package;"
        " if neither helps, someone may be tampering with the connection",
    ),
    (
        r"is expired|is no longer valid|Valid-Until",
        "an index has expired: it is too old to be trusted",
        "check this machine's clock, or use another mirror (--mirror): this one is stale",
    ),
    (
        r"is not valid yet",
        "an index is dated in the future",
        "check this machine's clock",
    ),
    (
        r"does not have a Release file|no longer has a Release file|404 +Not Found \[.*\].*Release",
        "the archive does not have this release",
        "check the release's name; of a release past its end of life, name the archive that"
        " keeps it with --mirror",
    ),
    (
        r"(?m)^stopped after [\d.]+ s$",  # host/command.py's words, not apt's
        "the archive is too slow: it was not done in time",
        "try again later, or use another mirror (--mirror)",
    ),
    (
        r"File too large",  # strerror(EFBIG): the bound that privateroot.py sets
        "a file is larger than any archive's",
        "use another mirror (--mirror): this one sends what is made to fill the disk",
    ),
    (
        r"Hash Sum mismatch|unexpected size|Size mismatch|Hashes of expected file",
        "a file is not the one that the signed index lists",
        "try again later (the mirror may be in the middle of an update) or use another"
        " mirror (--mirror)",
    ),
    (
        r"404 +Not Found|File not found|No such file",
        "the archive lacks a file that its signed index lists",
        "use another mirror (--mirror), or another version (--version)",
    ),
    (
        r"Could not connect|Connection refused|Could not resolve|Temporary failure resolving"
        r"|timed out|Network is unreachable|Unable to connect|No route to host|connect \(",
        "the archive cannot be reached",
        "check the network and the proxy (http_proxy), or use another mirror (--mirror)",
    ),
    (
        r"Failed to fetch \S+ +[45]\d\d ",
        "the archive answered with an error",
        "try again later, or use another mirror (--mirror)",
    ),
    (
        r"Connection (failed|reset|closed)|closed the connection|Error reading from server"
        r"|Undetermined Error|Data left in file|incomplete|Invalid file format",
        "a download ended before the file was whole",
        "try again, or use another mirror (--mirror)",
    ),
    (
        r"is not signed",
        "an index is not signed",
        "use another mirror (--mirror): without a signature nothing can be verified",
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

_EXPIRED_SUITE = re.compile(
    r"^E: Release file for (?P<uri>\S+?)/dists/(?P<suite>\S+)/(?:In)?Release is expired",
    re.MULTILINE,
)


def explain(failed: FetchError, doing: str) -> FetchError:
    """Return the error with apt's words made plain; ``doing`` is what was being done."""
    for pattern, brief, hint in _MEANING:
        if re.search(pattern, f"{failed.brief}\n{failed.details}"):
            return FetchError(f"{doing}: {brief}", details=failed.details, hint=hint)
    return FetchError(f"{doing}: apt failed", details=failed.details, hint=failed.hint)


def missing_suites(output: str) -> frozenset[tuple[str, str]]:
    """Return the (URI, suite) pairs that apt-get update found not to exist."""
    return frozenset(
        (match["uri"].rstrip("/"), match["suite"]) for match in _MISSING_SUITE.finditer(output)
    )


def expired_suites(output: str) -> frozenset[tuple[str, str]]:
    """Return the (URI, suite) pairs whose Valid-Until has passed."""
    return frozenset(
        (match["uri"].rstrip("/"), match["suite"]) for match in _EXPIRED_SUITE.finditer(output)
    )


def expired_key(output: str) -> bool:
    """Tell whether apt refused a signature because its key has expired."""
    return "EXPKEYSIG" in output and not re.search(r"BADSIG|REVKEYSIG", output)
