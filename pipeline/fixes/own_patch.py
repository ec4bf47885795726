# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user's own patch: a unified diff or a quilt patch, as it is given.

What is checked here concerns the file alone; whether it applies, and to which files, is seen when
patch(1) applies it (``own_patches``). Debian's DEP-3 says which fields a patch's header has.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import config_file
from pipeline.errors import UsageError
from pipeline.files import bounded

OPTIONAL = ",optional"
"""After the file's name: the patch is left out where it does not apply."""
LIMIT = bounded.SMALL
HINT = "give a unified diff, as diff -u, git format-patch or quilt write it"
MOST = 100
"""Patches of one run."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,99}")
_TAKEN = re.compile(r"series|00list|debian-changes.*|respin-.*")
"""Names in debian/patches that quilt, dpkg-source and the fixes use."""
_DIFF = re.compile(rb"^(--- \S|diff |Index: |\*\*\* \S)", re.MULTILINE)
_UNIFIED = re.compile(rb"^--- \S[^\n]*\n\+\+\+ \S[^\n]*\n@@ -", re.MULTILINE)
_BINARY = re.compile(rb"^(GIT binary patch|Binary files .* differ)\r?$", re.MULTILINE)
_FIELDS = {"Description": r"(?im)^(Description|Subject):", "Origin": r"(?im)^(Origin|Author|From):"}
"""The fields that DEP-3 requires, each with those that stand for it."""


@dataclass(frozen=True, kw_only=True)
class OwnPatch:
    """A patch of the user's."""

    name: str
    """Its file name, also in debian/patches."""
    content: bytes
    """As it was given."""
    optional: bool = False
    """Whether it is left out where it does not apply."""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of its content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def text(self) -> str:
        """Return what goes into debian/patches: the content, with the required DEP-3 fields.

        Bytes that are not UTF-8 become surrogates (PEP 383).
        """
        header = _header(self.content).decode()
        lacking = {
            "Description": f"{self.name}, a patch of the user's own",
            "Origin": "other, given to iproute2-respin with --patch",
        }
        fields = "".join(
            f"{field}: {value}\n"
            for field, value in lacking.items()
            if not re.search(_FIELDS[field], header)
        )
        begins_with_field = re.match(r"[A-Z][A-Za-z-]*: ", header)
        between = "\n" if fields and not begins_with_field else ""
        text = fields + between + self.content.decode("utf-8", "surrogateescape")
        return text if text.endswith("\n") else f"{text}\n"


def read(given: Path, *, configured: bool = False) -> OwnPatch:
    """Read a patch of the user's; ``given`` may end in ``,optional``.

    Raises UsageError if it is not a regular file of at most a mebibyte, is not a unified diff of
    text files, or has a name or a header that does not belong in a source package; and, if it was
    not given for this run but ``configured``, if somebody else can write to it.
    """
    optional = given.name.endswith(OPTIONAL)
    path = Path(str(given).removesuffix(OPTIONAL))
    try:
        content = config_file.content(path, HINT) if configured else bounded.read(path, LIMIT)
    except OSError as e:
        raise UsageError(f"the patch {path} cannot be read: {e.strerror}", hint=HINT) from e
    return checked(OwnPatch(name=path.name, content=content, optional=optional))


def read_all(configured: Iterable[Path], given: Iterable[Path] = ()) -> tuple[OwnPatch, ...]:
    """Read several patches, in the order in which they are applied: ``configured``, then ``given``.

    Raises UsageError, also if two have the same name.
    """
    found = (*(read(path, configured=True) for path in configured), *map(read, given))
    names = [patch.name for patch in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(
            f"two patches are called {twice[0]}, and debian/patches has one file of that name",
            hint="rename one of them",
        )
    if len(found) > MOST:
        raise UsageError(f"{len(found)} patches are given; at most {MOST} are taken")
    return found


def checked(patch: OwnPatch) -> OwnPatch:
    """Return a patch; raise UsageError if its name, its form or its header is refused."""
    shown = repr(patch.name[:100])
    if not _NAME.fullmatch(patch.name) or _TAKEN.fullmatch(patch.name):
        raise UsageError(
            f"a patch must not be called {shown} in debian/patches",
            details="Its name may have letters, digits and + . _ -; series, 00list, and what "
            "begins with debian-changes or respin- have a meaning there.",
            hint="rename the file",
        )
    if b"\0" in patch.content or _BINARY.search(patch.content):
        raise UsageError(
            f"the patch {patch.name} changes binary files, which a source package's patch cannot",
            hint="leave these files out of it",
        )
    if not _UNIFIED.search(patch.content):
        raise UsageError(
            f"{patch.name} is not a unified diff",
            details="It has no line --- a/FILE that +++ b/FILE and a hunk (@@ -1,2 +1,3 @@) "
            "follow.",
            hint="make it with diff -u, git format-patch or quilt",
        )
    _check_header(patch.name, _header(patch.content))
    return patch


def _header(content: bytes) -> bytes:
    """Return what stands before the first file's diff."""
    begins = _DIFF.search(content)
    return content[: begins.start()] if begins else b""


def _check_header(name: str, header: bytes) -> None:
    try:
        text = header.decode("utf-8")
    except ValueError as e:
        raise UsageError(
            f"the header of the patch {name} is not UTF-8",
            details=str(e),
            hint="convert it: iconv -f latin1 -t utf-8",
        ) from e
    bad = [c for c in text if c not in "\n\r\t" and unicodedata.category(c) in ("Cc", "Cf", "Co")]
    if bad:
        raise UsageError(
            f"the header of the patch {name} has the invisible character U+{ord(bad[0]):04X}",
            details="Whoever reads the header would not see what it does to the text.",
            hint="remove it",
        )
