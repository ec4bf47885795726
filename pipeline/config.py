"""respin.toml: what the user's own archives and releases are.

    [archives]                     # where superseded versions and old releases are had
    snapshot = "https://snapshot.debian.org"

    [release.NAME]                 # a derivative, or a private archive
    base = "bookworm"

Every key is known by name; one that is not is an error, not passed over.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import platformdirs

from pipeline.errors import UsageError

NAME = "respin.toml"
LIMIT = 1 << 20
"""Bytes; a longer file is none of ours."""

_URI = re.compile(r"(https?|file|copy|mirror\+\w+):/[^\s'\"]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.~_/-]{0,99}")
_SUFFIX = re.compile(r"\+?[a-z]+\{n\}|[+.~a-z0-9]*[a-z]\{n\}")


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Addresses without a slash at the end; an empty one is not asked."""

    snapshot: str = "https://snapshot.debian.org"
    launchpad: str = "https://api.launchpad.net/1.0"
    debian_old: str = "http://archive.debian.org/debian"
    debian_security_old: str = "http://archive.debian.org/debian-security"
    ubuntu_old: str = "http://old-releases.ubuntu.com/ubuntu"


@dataclass(frozen=True, kw_only=True)
class Derivative:
    """A release that is not in distro-info-data, or that is had from elsewhere."""

    name: str
    base: str = ""
    """The release of Debian or Ubuntu that it is made from; empty where the name is one."""
    uris: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    keyring: Path | None = None
    kernel: str = ""
    suffix: str = ""
    frozen: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """What one respin.toml says."""

    path: Path | None = None
    archives: Archives = Archives()
    releases: Mapping[str, Derivative] = field(default_factory=dict)


def load(path: Path | None = None) -> Config:
    """Read a configuration: ``path``, else $RESPIN_CONFIG, ./respin.toml, the user's own.

    Without any of these it is the default. Raises UsageError for a file that cannot be read
    or says what is not known, naming the nearest key that is.
    """
    named = path or (Path(os.environ["RESPIN_CONFIG"]) if os.environ.get("RESPIN_CONFIG") else None)
    user = platformdirs.user_config_path("respin") / NAME
    found = named or next((p for p in (Path(NAME), user) if p.is_file()), None)
    if found is None:
        return Config()
    try:
        with found.open("rb") as f:
            data = f.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise UsageError(f"{found} is longer than {LIMIT} bytes", hint="see docs/sources.md")
        values = tomllib.loads(data.decode("utf-8"))
    except OSError as e:
        raise UsageError(
            f"{found} cannot be read: {e.strerror}", hint="name another file with --config"
        ) from e
    except (ValueError, RecursionError) as e:
        raise UsageError(f"{found} is not TOML", details=str(e), hint="see docs/sources.md") from e
    return parse(values, found)


def parse(values: Mapping[str, Any], path: Path) -> Config:
    """Make a Config of what ``path`` says. Raises UsageError."""
    _known(values, ("archives", "release"), f"{path}")
    archives = _table(values.get("archives", {}), f"{path}: [archives]")
    allowed = [f.name.replace("_", "-") for f in fields(Archives)]
    _known(archives, allowed, f"{path}: [archives]")
    given = {
        key.replace("-", "_"): _uri(value, f"{path}: [archives] {key}", empty=True)
        for key, value in archives.items()
    }
    releases = _table(values.get("release", {}), f"{path}: [release]")
    return Config(
        path=path,
        archives=Archives(**given),
        releases={name: _derivative(name, table, path) for name, table in releases.items()},
    )


def _derivative(name: str, value: object, path: Path) -> Derivative:
    where = f"{path}: [release.{name}]"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,60}", name):
        raise _wrong(where, "a release's name is lower-case letters, digits, dots and hyphens")
    table = _table(value, where)
    _known(table, [f.name for f in fields(Derivative) if f.name != "name"], where)
    keyring = _text(table.get("keyring", ""), f"{where} keyring")
    suffix = _text(table.get("suffix", ""), f"{where} suffix")
    if suffix and not _SUFFIX.fullmatch(suffix):
        raise _wrong(f"{where} suffix", 'say it as "+bpfacme{n}": {n} is the number of the rebuild')
    kernel = _text(table.get("kernel", ""), f"{where} kernel")
    if kernel and not _WORD.fullmatch(kernel):
        raise _wrong(f"{where} kernel", "give the name of a package")
    frozen = table.get("frozen", False)
    if not isinstance(frozen, bool):
        raise _wrong(f"{where} frozen", "true or false")
    return Derivative(
        name=name,
        base=_text(table.get("base", ""), f"{where} base"),
        uris=tuple(_uri(u, f"{where} uris") for u in _words(table, "uris", where)),
        suites=_words(table, "suites", where),
        components=_words(table, "components", where),
        # As written it may be relative to the file.
        keyring=(path.parent / Path(keyring).expanduser()).absolute() if keyring else None,
        kernel=kernel,
        suffix=suffix,
        frozen=frozen,
    )


def _known(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    names = list(allowed)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]
            raise UsageError(
                f"{where}: there is no key {key[:80]!r}",
                details=f"The keys are {', '.join(names)}.",
                hint=f"did you mean {near!r}?",
            )


def _wrong(where: str, hint: str) -> UsageError:
    return UsageError(f"{where} is not as it must be", hint=hint)


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "it is a table")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise _wrong(where, "it is a text in one line")
    return value


def _uri(value: object, where: str, *, empty: bool = False) -> str:
    text = _text(value, where).rstrip("/")
    if not (empty and not text) and not _URI.fullmatch(text):
        raise _wrong(where, "it is an address such as http://mirror.example.org/debian")
    return text


def _words(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or len(value) > 100:
        raise _wrong(f"{where} {key}", "it is a list of texts")
    words = tuple(_text(v, f"{where} {key}") for v in value)
    if key != "uris" and not all(_WORD.fullmatch(w) and ".." not in w for w in words):
        raise _wrong(f"{where} {key}", "each is a word, as in sources.list(5)")
    return words
