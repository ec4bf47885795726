# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Parse what the guest writes to its virtio port: JSON lines, hostile until parsed.

The package under test runs as root in the guest and can write to the port what it likes.
So a line must be one of the known kinds, with exactly its fields, of the right types and
sizes, expected, and written once; otherwise the whole output counts for nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pipeline.errors import TestbedLost

LINE_MAX = 256 * 1024
"""Bytes of one line."""

LINES_MAX = 4096

OUTPUT_MAX = 64 * 1024
"""Characters of a command's output that are kept."""

_INTEGER_MAX = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that ended in the guest."""

    status: int
    """Exit status; negative: killed by that signal."""
    seconds: float
    late: bool
    """Whether it was killed because its time was up."""
    output: str
    """The end of its output and errors, without control characters."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Frames that were sent, how many were received, and the pinned maps afterwards."""

    sent: int
    received: int
    maps: Mapping[str, int]
    """The value of each map by its name; -1 if it could not be read."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The results for many broken objects."""

    loaded: int
    refused: int
    crashed: tuple[tuple[int, int], ...]
    """Number and signal of each object that killed tc; signal 0: tc hung."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """Everything that a guest reported."""

    kernel: str
    ran: Mapping[str, Ran]
    counted: Mapping[str, Counted]
    tried: Mapping[str, Tried]
    logs: Mapping[str, str]
    """The kernel's messages during each row that was completed."""
    begun: str
    """The last row that began; empty if none did."""
    done: bool
    """Whether the guest came to its own end."""


_FIELDS: Mapping[str, Mapping[str, type]] = MappingProxyType(
    {
        "hello": {"kernel": str},
        "ran": {"id": str, "status": int, "seconds": float, "late": bool, "output": str},
        "counted": {"id": str, "sent": int, "received": int, "maps": dict},
        "begun": {"id": str},
        "tried": {"id": str, "crashed": list, "loaded": int, "refused": int},
        "kernel": {"id": str, "log": str},
        "ready": {},
        "done": {},
    }
)


def parse(data: bytes, expected: Collection[str]) -> Transcript:
    """Return what a guest reported. ``expected`` are the ids that it may use.

    Raises TestbedLost at the first line that is not valid.
    """
    kernel, ready, done, begun = "", False, False, ""
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _MAKE}
    lines = data.split(b"\n")
    if len(lines) > LINES_MAX:
        raise _refuse(b"", f"more than {LINES_MAX} lines")
    # After the last newline is a line that the guest did not live to finish.
    for raw in lines[:-1]:
        line = _line(raw)
        kind = line["kind"]
        if done or (kind == "hello") != (not kernel):
            raise _refuse(raw, "a line in the wrong place")
        if kind == "hello":
            kernel = _clean(line["kernel"], 128)
        elif kind == "done":
            done = True
        elif kind == "ready":
            if ready:
                raise _refuse(raw, "a line in the wrong place")
            ready = True
        else:
            if line["id"] not in expected or line["id"] in found[kind]:
                raise _refuse(raw, "an id that was not expected")
            found[kind][line["id"]] = _MAKE[kind](raw, line)
            begun = line["id"] if kind == "begun" else begun
    return Transcript(
        kernel=kernel,
        ran=found["ran"],
        counted=found["counted"],
        tried=found["tried"],
        logs=found["kernel"],
        begun=begun,
        done=done,
    )


def merged(old: Transcript, new: Transcript) -> Transcript:
    """Return the reports of two boots of a guest as one; the later one counts."""
    return Transcript(
        kernel=new.kernel or old.kernel,
        ran={**old.ran, **new.ran},
        counted={**old.counted, **new.counted},
        tried={**old.tried, **new.tried},
        logs={**old.logs, **new.logs},
        begun=new.begun or old.begun,
        done=new.done,
    )


def _refuse(raw: bytes, why: str) -> TestbedLost:
    shown = raw[:200].decode("ascii", "backslashreplace")
    return TestbedLost(
        "the guest's report cannot be trusted: " + why,
        details=_clean(shown, 400),
        hint="nothing is proven; run the smoke test again, and if this happens again, read the "
        "guest's console log",
    )


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _line(raw: bytes) -> dict[str, Any]:
    # Types are checked here, once; the other functions rely on them.
    if len(raw) > LINE_MAX:
        raise _refuse(raw, f"a line of more than {LINE_MAX} bytes")
    try:
        line: Any = json.loads(raw.decode("utf-8", "replace"), parse_constant=_constant)
    except (ValueError, RecursionError) as e:
        raise _refuse(raw, "a line that is not JSON") from e
    kind = line.get("kind") if isinstance(line, dict) else None
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if not isinstance(line, dict) or fields is None or set(line) != {"kind", *fields}:
        raise _refuse(raw, "a line of no known kind")
    for name, wanted in fields.items():
        value = line[name]
        if type(value) is not wanted:  # isinstance takes a bool for an int
            raise _refuse(raw, f"{name} is not of type {wanted.__name__}")
        if isinstance(value, int) and abs(value) >= _INTEGER_MAX:
            raise _refuse(raw, f"{name} is out of range")
        if isinstance(value, float) and not math.isfinite(value):
            raise _refuse(raw, f"{name} is out of range")
    return line


def _ran(raw: bytes, line: Mapping[str, Any]) -> Ran:
    return Ran(
        status=line["status"],
        seconds=line["seconds"],
        late=line["late"],
        output=_clean(line["output"], OUTPUT_MAX),
    )


def _counted(raw: bytes, line: Mapping[str, Any]) -> Counted:
    return Counted(sent=line["sent"], received=line["received"], maps=_maps(raw, line["maps"]))


def _tried(raw: bytes, line: Mapping[str, Any]) -> Tried:
    crashed = []
    for pair in line["crashed"]:
        if type(pair) is not list or [type(n) for n in pair] != [int, int]:
            raise _refuse(raw, "a crash is not two numbers")
        crashed.append((pair[0], pair[1]))
    return Tried(loaded=line["loaded"], refused=line["refused"], crashed=tuple(crashed))


def _maps(raw: bytes, maps: Mapping[str, Any]) -> dict[str, int]:
    values: dict[str, int] = {}
    for name, value in maps.items():
        if type(value) is not int or abs(value) >= _INTEGER_MAX:
            raise _refuse(raw, "a map's value is not a number")
        values[name] = value
    return values


def _clean(text: str, limit: int) -> str:
    """Return the end of a text without characters that could control the user's terminal."""
    return "".join(c for c in text[-limit:] if c.isprintable() or c in "\n\t")


_MAKE: Mapping[str, Callable[[bytes, Mapping[str, Any]], Any]] = MappingProxyType(
    {
        "ran": _ran,
        "counted": _counted,
        "tried": _tried,
        "kernel": lambda _raw, line: _clean(line["log"], OUTPUT_MAX),
        "begun": lambda _raw, _line: True,
    }
)
