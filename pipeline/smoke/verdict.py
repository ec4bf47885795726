# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a report of the player into a cell of the matrix: what was seen, and was it expected?

It takes a row, the results of its commands and the counters, and returns a cell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from debian.debian_support import Version

from pipeline.model import GOOD, Cell, Expect, Seen
from pipeline.smoke.cases import Expected, Loader
from pipeline.smoke.matrix import Command, Row
from pipeline.smoke.player_script import why_id
from pipeline.vm.results import Counted, Ran, Transcript, Tried

AF_ALG = "CONFIG_CRYPTO_USER_API_HASH"
"""What PIN_OBJECT_NS needs: "Missing kernel AF_ALG support" (docs/facts.md)."""

# tc reads libbpf's version in the name of the file that it is linked to, which may be libbpf.so.0.
_TC = re.compile(r"iproute2-\S*?(?:, libbpf (\d+)(?:\.\S*)?)?\s*$")


@dataclass(frozen=True, kw_only=True)
class Tc:
    """A package's tc."""

    text: str
    """What ``tc -V`` says."""
    version: str
    """The version of the package."""
    loader: Loader


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the player reported on one row."""

    ran: tuple[Ran, ...] = ()
    """Its commands, as far as they ran."""
    counted: Counted | None = None
    tried: Tried | None = None
    why: str = ""
    """What the first command said when it was run again, with the verifier's log."""
    log: str = ""
    """What the kernel logged meanwhile."""
    lost: str = ""
    """If the guest was lost during this row: the end of the console's output."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What was seen, with a description."""

    seen: Seen
    what: str
    output: str = field(default="")


def engine(output: str) -> str:
    """Return what the output of ``tc -V`` says about libbpf; without a word, it has none."""
    found = _TC.search(output.strip())
    libbpf = found[1] if found else None
    return "own" if libbpf is None else "libbpf-0" if libbpf == "0" else "libbpf-1"


def expectation(
    row: Row,
    tc: Tc,
    *,
    after: bool,
    symptoms: Sequence[str] | None,
    before: Seen | None = None,
) -> Expected:
    """Return what a row expects from a package, and why.

    ``symptoms`` are those of the needed fixes that turn the case; None if no fix does. ``before``
    is what the package before did, if this one only has to load what that one loads.
    """
    if before in GOOD:
        return Expected(what=Expect(before), reason="so does the distro's package")
    if before is not None:
        return Expected(what=Expect.ANY, reason="the distro's package does not load it either")
    if row.expect is None:
        if after:
            return Expected(what=Expect.LOADS, reason="the user's object must load")
        return Expected(what=Expect.ANY, reason="shown only")
    if symptoms is not None:
        if after:
            return Expected(what=Expect.LOADS, reason="the fix must make it load")
        reason = "this is the negative control: what the fix repairs must be seen to fail"
        return Expected(what=Expect.REFUSED, reason=reason, says="|".join(symptoms))
    return row.expect[tc.loader.name]


def judge(
    row: Row,
    tc: Tc,
    said: Said,
    *,
    after: bool,
    symptoms: Sequence[str] | None = None,
    before: Seen | None = None,
) -> Cell:
    """Return the cell of a row for one package; the rest is as in ``expectation``."""
    expected = expectation(row, tc, after=after, symptoms=symptoms, before=before)
    missing = row.missing
    if not missing and row.since and _upstream(tc.version) < Version(f"{row.since}~"):
        missing = f"iproute2 {row.since}"
    if missing:
        view = View(seen=Seen.NOT_POSSIBLE, what=f"not possible here: this needs {missing}")
        expected = Expected(what=Expect.ANY, reason=view.what)
    else:
        view = _see(row, said)
        if row.expect is None and view.seen is Seen.REFUSED and "AF_ALG" in view.output:
            what = f"not possible here: this needs {AF_ALG} in the kernel"
            view = View(seen=Seen.NOT_POSSIBLE, what=what, output=view.output)
            expected = Expected(what=Expect.ANY, reason=what)
    last = said.ran[-1] if said.ran else None
    counted = said.counted
    return Cell(
        expected=expected.what,
        reason=expected.reason,
        seen=view.seen,
        ok=not (why := _difference(expected, view)),
        command="\n".join(shlex.join(c.argv) for c in row.commands[: len(said.ran) or 1]),
        status=last.status if last else 0,
        output=view.output,
        counted=next(iter(counted.maps.values()), -1) if counted else -1,
        sent=counted.sent if counted else 0,
        received=counted.received if counted else 0,
        maps=dict(counted.maps) if counted else {},
        seconds=round(sum(ran.seconds for ran in said.ran), 3),
        kernel_log=said.log,
        verifier=said.why,
        why=why,
    )


def _upstream(version: str) -> Version:
    return Version(Version(version).upstream_version)


def _difference(expected: Expected, view: View) -> str:
    """Return a sentence about what is not as expected."""
    if expected.what is not Expect.ANY and view.seen.value != expected.what.value:
        return f"expected: {expected.what} ({expected.reason}); seen: {view.what}"
    pattern = expected.says or r"\S"
    if expected.what is Expect.REFUSED and not re.search(pattern, view.output):
        return f"refused, as expected, but its message does not match {pattern}"
    return ""


def _see(row: Row, said: Said) -> View:
    if said.lost:
        return View(seen=Seen.LOST, what="the guest crashed", output=said.lost)
    if row.corpus:
        return _survival(row, said.tried)
    output = "".join(ran.output for ran in said.ran)
    for ran, command in zip(said.ran, row.commands, strict=False):
        if ran.late:
            what = f"the command did not end within {row.seconds} s"
            return View(seen=Seen.CRASHED, what=what, output=output)
        if ran.status < 0:
            what = f"the command was killed by signal {-ran.status}"
            return View(seen=Seen.CRASHED, what=what, output=output)
        if ran.status > 0:
            what = f"refused, exit status {ran.status}"
            return View(seen=Seen.REFUSED, what=what, output=output)
        if wrong := _words(command, ran):
            return View(seen=Seen.LOADED_WRONG, what=wrong, output=output)
    wrong = ", ".join(_counts(row, said.counted))
    if wrong:
        return View(seen=Seen.LOADED_WRONG, what=f"exit status 0, but {wrong}", output=output)
    return View(seen=Seen.LOADS, what="loaded and counted", output=output)


def _words(command: Command, ran: Ran) -> str:
    line = shlex.join(command.argv)
    if command.silent and ran.output.strip():
        return f"{line} still shows what was removed"
    if command.says and not re.search(command.says, ran.output):
        return f"{line} does not show what is loaded"
    return ""


def _survival(row: Row, tried: Tried | None) -> View:
    if tried is None:
        return View(seen=Seen.LOADED_WRONG, what="nothing was tested")
    total = tried.loaded + tried.refused + len(tried.crashed)
    output = f"{total} objects: {tried.refused} refused, {tried.loaded} loaded"
    if total != row.corpus:
        return View(
            seen=Seen.LOADED_WRONG, what=f"only {total} of {row.corpus} objects were tested"
        )
    if tried.crashed:
        each = [f"{n}.o ({f'signal {s}' if s else 'hung'})" for n, s in tried.crashed]
        what = "tc crashed on " + ", ".join(each)
        return View(seen=Seen.CRASHED, what=what, output=f"{output}\n{what}")
    return View(seen=Seen.SURVIVES, what="no crash", output=output)


def _counts(row: Row, counted: Counted | None) -> list[str]:
    if not row.send:
        return []
    if counted is None or counted.sent != row.frames:
        return ["the frames were not sent"]
    wrong = [
        f"{name} holds {counted.maps.get(name, -1)} instead of {value}"
        for name, value in row.values.items()
        if counted.maps.get(name, -1) != value
    ]
    if row.received >= 0 and counted.received != row.received:
        marked = " with the mark" if row.mark else ""
        wrong.append(f"the receiver got {counted.received} frames{marked}, not {row.received}")
    return wrong


def said_of(row: Row, step: str, transcript: Transcript) -> Said | None:
    """Return what the player reported on one row; None if the row did not finish."""
    if step not in transcript.logs:
        return None
    why = transcript.ran.get(why_id(step))
    names = [step, *(f"{step}:{n}" for n in range(1, len(row.commands)))]
    return Said(
        ran=tuple(transcript.ran[name] for name in names if name in transcript.ran),
        counted=transcript.counted.get(step),
        tried=transcript.tried.get(step),
        why=why.output if why else "",
        log=transcript.logs[step],
    )
