# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a terminal of 80 columns shows of a run: whole hashes, whole paths, and named objects."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console
from support.filled import filled
from support.said import Fake

from pipeline.cli import summaries, terminal
from pipeline.errors import UsageError
from pipeline.model import (
    CaseResult,
    Cell,
    Expect,
    Release,
    Seen,
    SmokeReport,
    Source,
    VerifiedFile,
)
from pipeline.runs.report import Outcome, Report

HASH = "0123456789abcdef" * 4
PATH = Path("/srv/builds/of/somebody/with/a-long-name/iproute2_6.1.0-3.dsc")
ORIGIN = "http://mirror.example.org/debian/dists/bookworm of an archive that is signed by its keys"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what a terminal of 80 columns gets."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(terminal, "console", lambda: console)
    return out


def _cell(seen: Seen) -> Cell:
    return Cell(
        expected=Expect.LOADS,
        reason="the user's object must load",
        seen=seen,
        ok=seen is Seen.LOADS,
        command="tc filter add",
        status=0,
        output="",
        seconds=0.1,
        counted=-1,
        sent=0,
        received=0,
        maps={},
    )


def _row(name: str) -> CaseResult:
    return CaseResult(
        case=name,
        title=f"{PATH.parent / name}, section classifier",
        way="tc",
        before=_cell(Seen.REFUSED),
        after=_cell(Seen.LOADS),
        object=f"programs: classifier\nmap of {name}",
        yours=True,
        limits=(f"it has BTF, {HASH}. Compile it without -g.",),
    )


def test_no_hash_and_no_path_is_cut(shown: io.StringIO) -> None:
    file = VerifiedFile(path=PATH, size=1, sha256=HASH, verified=f"SHA-256 {HASH} in {ORIGIN}")
    source = Source(
        name="iproute2",
        version="6.1.0-3",
        release=Release(distro="debian", codename="bookworm", version="12"),
        files=(file,),
        origin=ORIGIN,
    )
    summaries.show_report(
        Report(outcome=Outcome.FETCHED, source=source, findings=(), unverified=(str(PATH),))
    )
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(HASH in line for line in lines) == 2  # of the file, and in what verified it
    assert sum(str(PATH) in line for line in lines) == 1
    assert " ".join(ORIGIN.split()) in " ".join(" ".join(lines).split())


def test_who_signed_a_run_is_shown_and_that_nobody_did(shown: io.StringIO) -> None:
    summaries.show_signers(Fake())
    summaries.show_signers(None)
    signed, unsigned = shown.getvalue().splitlines()
    assert signed == f"Signed by: {'A' * 40}" and "nobody, since there is no key" in unsigned


def _refused(output: str, verifier: str = "") -> SmokeReport:
    cell = dataclasses.replace(_cell(Seen.REFUSED), output=output, verifier=verifier)
    row = dataclasses.replace(_row("one.o"), before=cell, after=None)
    return filled(SmokeReport, cases=(row,), after="", packages=("iproute2",))


def test_what_tc_said_of_a_refusal_is_shown_up_to_20_lines(shown: io.StringIO) -> None:
    summaries.show_smoke(_refused("".join(f"line {n}\n" for n in range(30))))
    words = shown.getvalue()
    assert "What was said of one.o (tc; the last 20 of 30 lines" in " ".join(words.split())
    assert [n for n in range(30) if f"  line {n}\n" in words] == list(range(10, 30))


def test_the_verifiers_log_is_shown_in_place_of_its_absence(shown: io.StringIO) -> None:
    summaries.show_smoke(_refused("Verifier analysis:\n\n", "R0 invalid mem access\n"))
    assert "R0 invalid mem access" in shown.getvalue()
    assert "Verifier analysis" not in shown.getvalue()


def test_what_was_said_as_expected_is_not_shown(shown: io.StringIO) -> None:
    cell = dataclasses.replace(_cell(Seen.REFUSED), ok=True, output="as expected")
    row = dataclasses.replace(_row("one.o"), before=cell, after=None)
    summaries.show_smoke(filled(SmokeReport, cases=(row,), after="", packages=("iproute2",)))
    assert "as expected" not in shown.getvalue()


@pytest.mark.parametrize(
    ("architecture", "accelerator", "words"),
    [
        ("s390x", "tcg", "on 6.1.0 (s390x, emulation)"),
        ("amd64", "kvm", "on 6.1.0 (amd64, kvm)"),
        ("", "tcg", "on 6.1.0 (emulation)"),  # a report of an earlier version
        ("amd64", "", "on 6.1.0 (namespaces of this machine)"),
    ],
)
def test_the_title_names_the_machine(
    shown: io.StringIO, architecture: str, accelerator: str, words: str
) -> None:
    row = dataclasses.replace(_row("one.o"), after=None)
    seen = filled(SmokeReport, kernel="6.1.0", after="", packages=("iproute2",), cases=(row,))
    seen = dataclasses.replace(seen, architecture=architecture, accelerator=accelerator)
    summaries.show_smoke(seen)
    assert words in " ".join(shown.getvalue().split())


def test_every_object_and_every_limit_has_a_name(shown: io.StringIO) -> None:
    smoke = SmokeReport(
        place="guest",
        kernel="6.1.0",
        kernel_package=None,
        before="iproute2 6.1.0-3",
        after="iproute2 6.1.0-3+bpf1",
        accelerator="kvm",
        packages=("iproute2 6.1.0-3", "iproute2 6.1.0-3+bpf1"),
        loaders=("libbpf", "iproute2"),
        cases=(_row("one.o"), _row("two.o")),
        seconds=1.0,
        crashes=0,
    )
    summaries.show_smoke(smoke)
    words = " ".join(shown.getvalue().split())
    for name in ("one.o", "two.o"):
        assert f"The object {PATH.parent / name}, section classifier programs:" in words
        assert f"Why {name} is refused: it has BTF, {HASH}." in words
    assert max(map(len, shown.getvalue().splitlines())) <= 80


def test_a_name_in_the_matrix_is_not_folded(shown: io.StringIO) -> None:
    """A long one is shortened, and stands below as a whole."""
    names = ("somebodys-object-file.of-this.o", "an-object-file-with-a-name-of-over-36-columns.o")
    smoke = filled(SmokeReport, cases=tuple(map(_row, names)), packages=("a", "b"), after="b")
    summaries.show_smoke(smoke)
    said = shown.getvalue()
    assert f"│ {names[0]} " in said and f"│ {names[1][:17]}…{names[1][-18:]} " in said
    assert str(PATH.parent / names[1]) in said
    assert max(len(line) for line in said.splitlines() if not line.startswith("/")) <= 80


def test_a_broken_line_begins_with_no_command() -> None:
    """GitHub's runner would take it for one (text/visible.py)."""
    assert terminal.wrapped("a word ::add-mask::x", 8) == ["a word", "\\::add-mask::x"]
    assert terminal.wrapped(HASH, 8) == [HASH]


def test_an_error_is_cut_between_words(shown: io.StringIO) -> None:
    command = "unshare " + "--option " * 20
    terminal.show_error(
        UsageError(f"{ORIGIN} has no {PATH}", details=command, hint=f"look at it: {PATH}")
    )
    lines = shown.getvalue().splitlines()
    assert sum(str(PATH) in line for line in lines) == 2
    assert max(len(line) for line in lines if "unshare" not in line) <= 80
    assert f"  {command}".rstrip() in [line.rstrip() for line in lines]  # to be run as printed


@pytest.mark.parametrize("kept", [None, 8])
def test_how_much_is_unharmed(shown: io.StringIO, kept: int | None) -> None:
    seen = filled(SmokeReport, cases=(_row("one.o"),), packages=("a", "b"), after="b", kept=kept)
    release = filled(Release, distro="debian", codename="bookworm")
    done = filled(Report, outcome=Outcome.UNHARMED, source=filled(Source, release=release))
    summaries.show_report(dataclasses.replace(done, smoke=seen))
    words = " ".join(shown.getvalue().split())
    said = "Proven: the distro's package loads 8 of 1 cases, and so does the new one"
    assert (said in words) == (kept is not None)
