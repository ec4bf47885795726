# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's values, as they may stand in a language: each by that language's own rule.

What a language can escape is escaped; what it cannot is refused with a sentence. Templates fill
their holes by these rules (host/resources.py says which template is in which language); code that
makes text of another language without a template calls them itself; test_mini_languages.py in
tests/adversary lists all such places.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from urllib.parse import quote

from pipeline.errors import UsageError
from pipeline.text import visible

_WORD = re.compile(r"[A-Za-z0-9_./:@+~-]*")
_C = re.compile(r"[A-Za-z0-9_./ >-]*")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~$&#!@])")


class Raw(str):
    """Text that is in the language already, and is filled in as it is."""

    __slots__ = ()


def word(value: str) -> str:
    """Return a value that is special in no language: in units, crontabs and the shell."""
    if not _WORD.fullmatch(value):
        raise _refused(value, "use only letters, digits and _./:@+~-")
    return value


def apt_conf(value: str) -> str:
    """Return a value of apt.conf(5), without quotes: they have no escapes, plain words have %."""
    # Two slashes begin a comment.
    return quote(value, safe="/", errors="surrogateescape").replace("//", "/%2F")


def deb822(value: str) -> str:
    """Return the value of a field in one line: a newline would begin another field."""
    if not value.isprintable():
        raise _refused(value, "use only printable characters, in one line")
    return value


def deb822_words(*values: str) -> str:
    """Return a field's words, separated by blanks (URIs, Suites)."""
    for value in values:
        if not value or not value.isprintable() or " " in value:
            raise _refused(value, "omit blanks")
    return " ".join(values)


def fits_deb822(path: Path) -> bool:
    """Tell whether a path can stand in Signed-By, where blanks, commas and colons separate."""
    return str(path).isprintable() and not re.search(r"[\s,:]", str(path))


def deb822_path(path: Path) -> str:
    """Return a path in Signed-By."""
    if not fits_deb822(path):
        raise _refused(str(path), "use a path without blanks, commas and colons")
    return str(path)


def folded(value: str) -> str:
    """Return the value of a field whose later lines begin with a blank (DEP-3's Description)."""
    first, *others = value.split("\n")
    if any(not line.startswith(" ") for line in others):
        raise _refused(value, "begin every line except the first with a blank")
    return "\n".join(map(deb822, (first, *others)))


def yaml(value: str) -> str:
    """Return a value as a YAML string: JSON is YAML."""
    return json.dumps(value)


def toml(value: str) -> str:
    """Return a value as a TOML string, which has JSON's escapes, but for DEL (TOML 1.0)."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def python(value: str) -> str:
    """Return a value as a string of Python."""
    return ascii(value)


def shell(value: str) -> str:
    """Return a word of sh."""
    return shlex.quote(value)


def cron(line: str) -> str:
    """Return a command of crontab(5), where a % ends it."""
    return deb822(line).replace("%", r"\%")


def c(value: str) -> str:
    """Return a word or an expression of C that we wrote; it never contains anybody else's text."""
    if not _C.fullmatch(value):
        raise _refused(value, "please report this as a bug")
    return value


def link(value: str) -> str:
    """Return a path as a relative address in a page, any byte of it."""
    return quote(value, safe="/", errors="surrogateescape")


def markdown(value: str) -> str:
    """Return text in a line of Markdown, or in a cell of its tables."""
    return _MARKDOWN.sub(r"\\\1", visible.line(value))


def _refused(value: str, hint: str) -> UsageError:
    return UsageError(f"{value[:200]!r} is not safe in a file that respin writes", hint=hint)
