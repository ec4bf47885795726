# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke cases as data: what is loaded, with which attach type, and what each loader does.

pipeline/smoke/cases.toml and ways.toml say what the fields mean. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as memoize
from types import MappingProxyType
from typing import Any, Literal

from debian.debian_support import Version

from pipeline.errors import UsageError
from pipeline.host.resources import package_data
from pipeline.model import Expect

FIRST_KEY = "00000000"
"""The key under which maps count, hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a case expects from a loader, and why."""

    what: Expect
    reason: str
    says: str = ""
    """A regular expression that a refusal must match."""


@dataclass(frozen=True, kw_only=True)
class Loader:
    """The loader in a tc."""

    name: str
    title: str
    engine: str
    defect: str = ""
    """The fix that this loader lacks."""
    upstream: tuple[str, str] | None = None
    """The versions with the defect: from the first, up to but not including the second."""


@dataclass(frozen=True, kw_only=True)
class Then:
    """A command that runs after the one that loads."""

    run: str
    says: str = ""
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class AttachType:
    """An attach type: how an object gets into the kernel."""

    name: str
    title: str
    kind: str
    section: str
    load: str
    show: str
    send: str
    line: str = ""
    then: tuple[Then, ...] = ()
    verdict: str = "pass"
    since: str = ""
    needs: tuple[str, ...] = ()
    says: str = ""
    script: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case with one attach type."""

    name: str
    title: str
    way: AttachType
    template: str
    expect: Mapping[str, Expected]
    default: bool
    """Whether it belongs to the short set."""
    extra: bool = False
    """Whether it runs only if the user names it."""
    pins: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Values for the template, besides those of the attach type."""
    verdict: str = "pass"
    received: int | None = None
    debug: bool = False
    notype: bool = False
    own: bool = False
    """Whether its program is one of a user's fix: it may be anybody's, and is compiled in the
    sandbox."""
    program: str = ""
    section: str = ""
    size: int | None = None
    repeat: int = 1
    files: int = 0
    corpus: int = 0
    since: str = ""
    kernel: str = ""
    needs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Return its name in files and on the command line: case and attach type."""
        return f"{self.name}-{self.way.name}"

    def keys_hex(self, *, little: bool) -> Mapping[str, str]:
        """Return the keys in hexadecimal, for machines of a byte order."""
        order: Literal["little", "big"] = "little" if little else "big"
        return {
            name: "".join(p if isinstance(p, str) else p.to_bytes(4, order).hex() for p in parts)
            for name, parts in self.keys.items()
        }


_PARAMETERS = {"maps": 0, "pin": "global", "type": "HASH"}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(package_data(__package__, name).read_text("utf-8"))


@memoize
def attach_types() -> Mapping[str, AttachType]:
    """Return every attach type by its name, in the order of ways.toml."""
    found = {}
    for name, fields in _read("ways.toml").items():
        then = tuple(Then(**each) for each in fields.pop("then", ()))
        needs = tuple(fields.pop("needs", ()))
        found[name] = AttachType(name=name, then=then, needs=needs, **fields)
    return MappingProxyType(found)


@memoize
def loaders() -> tuple[Loader, ...]:
    """Return every loader, in the order in which they are compared with a tc."""
    found = []
    for entry in _read("cases.toml")["loader"]:
        upstream = entry.pop("upstream", None)
        found.append(Loader(upstream=tuple(upstream) if upstream else None, **entry))
    return tuple(found)


def loader_of(
    engine: str,
    version: str,
    *,
    ours: bool = False,
    lacks: frozenset[str] | None = None,
    about: frozenset[str] | None = None,
) -> Loader:
    """Return the loader of a package.

    ``engine`` is what ``tc -V`` says about libbpf, ``version`` is the package's, ``lacks`` are the
    fixes that it is known to lack, or None if that is unknown, and then ``ours`` says whether
    respin built it. If only some fixes were looked for, ``about`` names them; of the others, the
    package lacks what a distro's package of its version lacks.
    """
    upstream = Version(Version(version).upstream_version)
    for loader in loaders():
        if loader.engine != engine:
            continue
        low, high = loader.upstream or ("0", "999")
        affected = not ours and Version(low) <= upstream < Version(high)
        known = lacks if about is None or loader.defect in about else None
        if not loader.defect or (affected if known is None else loader.defect in known):
            return loader
    raise ValueError(f"cases.toml knows no loader for {engine}")


def _expected(entry: Any, groups: Mapping[str, Any], name: str) -> Mapping[str, Expected]:
    table = groups[entry] if isinstance(entry, str) else entry
    if set(table) != {loader.name for loader in loaders()}:
        raise ValueError(f"cases.toml: {name} does not say what it expects from every loader")
    return {
        loader: Expected(what=Expect(what), reason=reason, says=says[0] if says else "")
        for loader, (what, reason, *says) in table.items()
    }


def _entry(entry: dict[str, Any], groups: Mapping[str, Any]) -> Iterator[Case]:
    names, default = entry.pop("ways"), entry.pop("default", ())
    expect = _expected(entry.pop("expect"), groups, entry["name"])
    by_way, pins = entry.pop("pins-by-way", {}), entry.pop("pins", {})
    parameters = {key: entry.pop(key, value) for key, value in _PARAMETERS.items()}
    needs = tuple(entry.pop("needs", ()))
    without = tuple(entry.pop("without", ()))
    verdict = entry.pop("verdict", "")
    for name in names:
        way = attach_types()[name]
        yield Case(
            way=way,
            expect=expect,
            default=name in default,
            pins=by_way.get(name, pins),
            parameters=parameters,
            needs=(*needs, *way.needs),
            without=without,
            verdict=verdict or way.verdict,
            **entry,
        )


@memoize
def all_cases() -> tuple[Case, ...]:
    """Return every case with every attach type, in the order of cases.toml."""
    data = _read("cases.toml")
    return tuple(c for entry in data["case"] for c in _entry(entry, data["expect"]))


def select(
    names: Sequence[str] | None,
    by: Sequence[str] | None = None,
    *,
    whole: bool = False,
    own: Sequence[Case] = (),
) -> tuple[Case, ...]:
    """Return the cases with these names and these attach types, of all and of the fixes' ``own``.

    Without names: the short set, or, with ``whole`` or with attach types, every case except those
    that run only by name. Raises UsageError for an unknown name, and if no case is left.
    """
    known = (*all_cases(), *own)
    _known(names or (), {c.name for c in known}, "smoke case")
    _known(by or (), set(attach_types()), "attach type")
    short = names is None and not by and not whole
    found = tuple(
        c
        for c in known
        if (c.default if short else not c.extra if names is None else c.name in names)
        and (not by or c.way.name in by)
    )
    if not found:
        raise UsageError(
            "no smoke case with these names has these attach types",
            hint="run respin smoke --list to see which exist",
        )
    return found


def _known(names: Sequence[str], known: set[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no {what} {name}",
                hint="the known names are: " + ", ".join(sorted(known)),
            )


def map_struct_size(version: str) -> int:
    """Return the size in bytes of struct bpf_elf_map in this version of the iproute2 package."""
    upstream = Version(Version(version).upstream_version)
    if upstream < Version("4.6~"):
        return 24
    return 28 if upstream < Version("4.13~") else 36
