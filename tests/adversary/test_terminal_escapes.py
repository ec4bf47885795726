# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
r"""Text that others wrote contains terminal escapes, and respin shows it to the user.

The attacker writes a build log, an archive's answer, a name in an object, a version, the name of
a file. The aim is what a terminal does with it: a new title, the clipboard (OSC 52), a cleared
screen that shows another outcome, hidden text, text in the other direction; or what a CI or the
journal takes for a command (``::add-mask::``, ``<0>``).
"""

from __future__ import annotations

import io
import json
import re
import socketserver
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import hostile, inprocess
from support.archive import Archive, Signer
from support.packages import make_source

from pipeline.cli import catalogue, summaries, terminal
from pipeline.cli.doctor import Check
from pipeline.errors import BuildError, RespinError, tree
from pipeline.fixes import fixes
from pipeline.host import command
from pipeline.model import Comparison, Finding, SmokeReport
from pipeline.nightly import status
from pipeline.nightly.state import RunRow, State, TargetState
from pipeline.runs import report
from pipeline.runs.directory import REPORT
from pipeline.runs.report import Report
from pipeline.smoke.cases import all_cases
from pipeline.text import visible

SHOWN = [
    ("\x1b]0;pwned\x07", r"\x1b]0;pwned\x07"),
    ("\x1b]52;c;cHduZWQ=\x1b\\", r"\x1b]52;c;cHduZWQ=\x1b" + "\\"),
    ("\x1b[2J", r"\x1b[2J"),
    ("\x9b2J", r"\x9b2J"),
    ("failed\rfixed ", r"failed\x0dfixed "),
    ("unfixed\x08\x08", r"unfixed\x08\x08"),
    ("\x7f\x00", r"\x7f\x00"),
    ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
    ("a\u200b\ufeffb\u00adc", r"a\u200b\ufeffb\xadc"),
    ("\U000e0041\u3164", r"\U000e0041\u3164"),
    ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
    ("caf\udce9", r"caf\xe9"),
    ("::add-mask::x", r"\::add-mask::x"),
    (" ##[error]x", r"\ ##[error]x"),
    ("<0>panic", r"\<0>panic"),
]


def clean(text: str) -> bool:
    """Tell whether a text holds nothing but what is seen, newlines and tabs."""
    odd = [c for c in text if c not in "\n\t" and unicodedata.category(c)[0] == "C"]
    starts = [line.lstrip()[:3] for line in text.splitlines()]
    return not odd and not any(s.startswith(("::", "##[")) for s in starts)


@pytest.mark.attack
@pytest.mark.parametrize(("text", "shown"), SHOWN, ids=ascii)
def test_what_a_terminal_obeys_is_seen_instead(text: str, shown: str) -> None:
    assert visible.line(text) == shown
    assert visible.lines(f"first\n{text}") == f"first\n{shown}"
    assert not clean(text) or text.startswith(("<", "\u3164"))  # what was tried is an attack


@pytest.mark.attack
@given(st.text(st.characters()))
def test_any_text(text: str) -> None:
    for shown in (visible.lines(text), visible.line(text)):
        assert clean(shown) and "\r" not in shown
        shown.encode()  # no half of a character
    assert "\n" not in visible.line(text) and visible.line(visible.line(text)) == visible.line(text)
    value = visible.as_json({text: [text]})
    assert clean(value) and json.loads(value) == {text: [text]}


@pytest.mark.bad_input
@given(
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters=":<#\u3164"))
)
def test_control_words_of_any_language_are_left_alone(text: str) -> None:
    if not set(text) & visible._UNSEEN:
        assert visible.lines(text) == text


class Screen(io.StringIO):
    """Standard error as it is on a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@contextmanager
def screen(kind: type[io.StringIO]) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Yield standard output and standard error."""
    with pytest.MonkeyPatch.context() as patch:
        out, err = io.StringIO(), kind()
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", "120")
        yield out, err


def plain(text: str) -> str:
    """Return what was shown without the colours of our own."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _error() -> None:
    error = RespinError(hostile.TEXT, details=hostile.TEXT, hint=hostile.TEXT)
    error.add_note(hostile.TEXT)
    terminal.show_error(error)


def _stages() -> None:
    with terminal.Terminal(verbose=True) as shown:
        for failed in (False, True):
            shown.begin(hostile.TEXT)
            shown.note(hostile.TEXT, hostile.TEXT)
            shown.end(hostile.TEXT, 1.0, failed)


def _architecture() -> None:
    summaries.show_architecture("arm64", hostile.record(Report))
    summaries.show_architecture("s390x", BuildError(hostile.TEXT))


class Signed:
    """A signer whose name is hostile."""

    fingerprints = (hostile.TEXT,)

    def signatures(self, texts: Sequence[bytes]) -> list[dict[str, bytes]]:
        return []


def _bug() -> None:
    terminal.show_bug(ValueError(hostile.TEXT))


SHOWS: dict[str, Callable[[], None]] = {
    "show_error": _error,
    "show_bug": _bug,
    "show_report": lambda: summaries.show_report(hostile.record(Report)),
    "show_architecture": _architecture,
    "show_comparison": lambda: summaries.show_comparison(hostile.record(Comparison)),
    "show_signers": lambda: summaries.show_signers(Signed()),
    "show_smoke": lambda: summaries.show_smoke(hostile.record(SmokeReport)),
    "show_findings": lambda: summaries.show_findings([hostile.record(Finding)]),
    "show_doctor": lambda: summaries.show_doctor([hostile.record(Check)]),
    "show_cases": lambda: summaries.show_cases(all_cases()),
    "show_usage": lambda: None,  # below, on the command line
    "say": lambda: terminal.say(hostile.TEXT),
    "say_wrapped": lambda: terminal.say_wrapped(hostile.TEXT, hostile.TEXT),
    "say_table": lambda: terminal.say_table([hostile.TEXT] * 9, [[hostile.TEXT] * 9] * 2),
    "say_lines": lambda: terminal.say_lines(hostile.TEXT),
    "say_json": lambda: terminal.say_json({hostile.TEXT: hostile.TEXT}),
    "tell": lambda: terminal.tell(hostile.TEXT),
    "tell_lines": lambda: terminal.tell_lines(hostile.TEXT),
}


@pytest.mark.attack
def test_each_way_of_showing_something_is_tried() -> None:
    shows = ("show_", "say", "tell")
    assert {n for m in (terminal, summaries) for n in vars(m) if n.startswith(shows)} == set(SHOWS)


@pytest.mark.attack
@pytest.mark.parametrize("kind", [io.StringIO, Screen], ids=["pipe", "terminal"])
@pytest.mark.parametrize("name", SHOWS)
def test_whatever_is_shown(name: str, kind: type[io.StringIO]) -> None:
    """Every text of a record is the attacker's: what was built, loaded, found, named."""
    with screen(kind) as (out, err):
        SHOWS[name]()
    shown = out.getvalue() + err.getvalue()
    assert clean(plain(shown)), ascii(shown)
    if name not in ("show_cases", "show_usage"):
        assert r"\x1b" in shown or "u001b" in shown  # it was shown, and not left out


@pytest.mark.attack
def test_notes_of_a_stage() -> None:
    with screen(io.StringIO) as (_, err):
        _stages()
    assert clean(err.getvalue()) and err.getvalue().count("pwned") >= 6
    with screen(Screen) as (_, err), terminal.Terminal(verbose=False) as shown:
        shown.begin("build")
        shown.note("build", hostile.TEXT)
        shown._progress.refresh()
    moves = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*[mAK]|2K)|\r")  # the cursor's, of the display
    assert clean(moves.sub("", err.getvalue())), ascii(err.getvalue())


@pytest.mark.attack
def test_an_error_of_any_kind_is_one_line_and_no_more() -> None:
    """A newline in a brief would let the attacker write a line of respin's own."""
    for kind in tree():
        with screen(io.StringIO) as (_, err):
            terminal.show_error(kind("no\nrespin: all is fixed", hint="a\nb"))
        assert err.getvalue().splitlines() == [r"respin: no\x0arespin: all is fixed", r"→ a\x0ab"]


EVIL = "\x1b]0;pwned\x07\x9b2J\u202e"


@pytest.mark.attack
@pytest.mark.parametrize(
    "args",
    [
        ["run", f"--{EVIL}"],
        [EVIL],
        ["run", "--release", EVIL],
        ["run", "--dsc", EVIL],
        ["run", "--way", EVIL],
        ["run", "--case", EVIL],
        ["run", "--object", EVIL],
        ["run", "--number", EVIL],
        ["run", "--container", EVIL],
        ["run", "--fix", EVIL],
        ["fetch", "--release", "bookworm", "--mirror", f"http://127.0.0.1:9/{EVIL}"],
        ["fetch", "--release", "bookworm", "--version", EVIL],
        ["releases", "--config", EVIL],
        ["smoke", "--deb", __file__, "--way", EVIL],
        ["init", "github", "--ref", "main", "--repository", EVIL],
        ["init", "kubernetes", "--image", EVIL],
        ["init", "kubernetes", "--image", "x", "--plan", EVIL],
        ["init", "buildbot", "--config", "/x", "--worker", EVIL],
        ["init", "cron", "--program", "/x", "--user", EVIL],
        ["publish", "--to", EVIL, "."],
    ],
    ids=lambda args: ascii(" ".join(args[:2])),
)
def test_on_the_command_line(tmp_path: Path, args: list[str]) -> None:
    """Who starts respin takes arguments from elsewhere: a form, a branch's name."""
    said = inprocess.respin(*args, cwd=tmp_path, env={"RESPIN_CACHE": str(tmp_path / "cache")})
    assert said.status in (2, 10)
    assert clean(said.out + said.err) and r"\x1b]0;pwned" in said.err, ascii(said.err)


@pytest.mark.attack
def test_names_of_files(tmp_path: Path) -> None:
    for name in ("tree", "x.dsc", "x.o", "respin.toml"):
        (tmp_path / f"{EVIL}{name}").mkdir() if name == "tree" else None
        if name != "tree":
            (tmp_path / f"{EVIL}{name}").write_text("no such thing \x1b[2J = [")
    cache = {"RESPIN_CACHE": str(tmp_path / "cache")}
    calls: tuple[list[str | Path], ...] = (
        ["diagnose", "--tree", tmp_path / f"{EVIL}tree"],
        ["diagnose", "--dsc", tmp_path / f"{EVIL}x.dsc"],
        ["run", "--object", tmp_path / f"{EVIL}x.o"],
        ["releases", "--config", tmp_path / f"{EVIL}respin.toml"],
        ["patch", tmp_path / f"{EVIL}tree"],
    )
    for args in calls:
        said = inprocess.respin(*args, env=cache)
        assert said.status in (2, 10, 11), said.err
        assert clean(said.out + said.err) and "pwned" in said.err, ascii(said.err)


@pytest.mark.attack
def test_a_bug_of_ours_over_what_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError(EVIL) from ValueError(hostile.TEXT)

    monkeypatch.setattr(catalogue, "listing", broken)
    said = inprocess.respin("releases")
    assert said.status == 1 and clean(said.err) and "pwned" in said.err
    assert said.err.endswith("respin: this is a bug in respin; please report the lines above\n")


@pytest.mark.attack
def test_a_build_log(tmp_path: Path) -> None:
    """The end of a log is shown clean; the log itself keeps the bytes."""
    (tmp_path / "out").write_bytes(b"\x1b]0;pwned\x07 \xff\x9b\r\nend \xc2\x9b2J\n")
    with pytest.raises(BuildError) as caught:
        command.run(
            ["sh", "-c", 'cat "$1"; exit 3', "sh", tmp_path / "out"],
            log=tmp_path / "log",
            error=BuildError,
        )
    with screen(io.StringIO) as (_, err):
        terminal.show_error(caught.value)
    assert clean(err.getvalue()) and r"\x1b]0;pwned\x07" in err.getvalue()
    assert (tmp_path / "out").read_bytes() in (tmp_path / "log").read_bytes()


@pytest.mark.attack
def test_a_report_that_is_read_with_cat(tmp_path: Path) -> None:
    done = hostile.record(Report)
    report.write(done, tmp_path)
    text = (tmp_path / REPORT).read_text("utf-8")
    assert clean(text)
    assert json.loads(text)["source"]["origin"] == hostile.TEXT


BODY = b"\x1b]0;pwned\x07\x1b[2J\x08\xe2\x80\xae\xc2\x9b2J\n::add-mask::x\n"


class Service(socketserver.StreamRequestHandler):
    """Answers each request in words of the attacker's."""

    def handle(self) -> None:
        """Answer."""
        self.rfile.readline()
        length = f"Content-Length: {len(BODY)}\r\n".encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n" + BODY)


@pytest.mark.attack
def test_the_answer_of_a_service(tmp_path: Path) -> None:
    """What is no JSON is shown. (apt takes such characters out of its own words.)"""
    with (
        Signer("distro") as signer,
        Archive(tmp_path / "archive", signer) as archive,
        socketserver.TCPServer(("127.0.0.1", 0), Service) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        archive.add_source(make_source(tmp_path / "source"))
        archive.publish()
        config = tmp_path / "respin.toml"
        config.write_text(f'[archives]\nsnapshot = "http://127.0.0.1:{server.server_address[1]}"\n')
        said = inprocess.respin(
            *("fetch", "--release", "bookworm", "--version", "6.1.0-1", "--config", config),
            *("--mirror", archive.url, "--keyring", signer.keyring, "--out", tmp_path / "out"),
            env={"RESPIN_CACHE": str(tmp_path / "cache")},
        )
        server.shutdown()
    assert said.status == 10 and "pwned" in said.err
    assert clean(said.out + said.err), ascii(said.err)


@pytest.mark.attack
def test_markup_and_escapes_in_a_path(tmp_path: Path) -> None:
    """A path that rich took for markup ended in a traceback, after all the work was done."""
    with Signer("distro") as signer, Archive(tmp_path / "archive", signer) as archive:
        archive.add_source(make_source(tmp_path / "source"))
        archive.publish()
        args = ["--release", "bookworm", "--mirror", archive.url, "--keyring", str(archive.keyring)]
        for name, shown in (("a[/b]", "a[/b]"), ("x\x1b[2J", r"x\x1b[2J"), ("a{b}%s", "a{b}%s")):
            out = tmp_path / name
            env = {"RESPIN_CACHE": str(tmp_path / "cache")}
            said = inprocess.respin("fetch", *args, "--out", out, env=env)
            assert said.status == 0, said.err
            assert said.out == f"{tmp_path}/{shown}/source/iproute2_6.1.0-3.dsc\n"
            assert clean(said.err)
            # What a program is to have exactly is in the JSON.
            told = inprocess.respin("fetch", *args, "--json", "--out", out, env=env)
            dsc = json.loads(told.out)["source"]["files"][0]["path"]
            assert (out / dsc).is_file() and clean(told.out)


@pytest.mark.attack
def test_what_a_night_has_heard(tmp_path: Path) -> None:
    """What archives, builds and guests said is in the state, and is shown for months."""
    with State(tmp_path, create=True) as state:
        state.save_target(hostile.record(TargetState, EVIL, name="bookworm", ended=None))
        run = state.begin_run(hostile.record(RunRow, EVIL, id=0, target="bookworm", ended=None))
        state.update_run(run.id, ended=2, outcome="failed", brief=EVIL, details=EVIL, code=13)
    env = {"RESPIN_STATE": str(tmp_path), "RESPIN_CACHE": str(tmp_path / "cache")}
    for args in (["status"], ["history"], ["status", "--json"], ["history", "--json"]):
        said = inprocess.respin(*args, env=env)
        assert said.status == 0, said.err
        assert clean(said.out + said.err) and "pwned" in said.out, ascii(said.out)
    with State(tmp_path) as state:
        runs, rows = state.runs(), status.rows(state, 3, 9)
    status.write(tmp_path / "public", rows, runs, datetime.now(UTC))
    for page in ("index.html", "status.json"):
        text = (tmp_path / "public" / page).read_text("utf-8")
        assert clean(text) and "pwned" in text


@pytest.mark.bad_input
def test_control_a_terminal_gets_our_own_colours() -> None:
    with screen(Screen) as (_, err):
        summaries.show_findings([hostile.record(Finding, "x")])
    assert "\x1b[1mVerdicts" in err.getvalue()


@pytest.mark.bad_input
def test_control_our_own_words_are_as_they_were() -> None:
    for fix in fixes.all_fixes():
        for text in fix.dep3.values():
            assert visible.lines(text) == text
    for case in all_cases():
        assert visible.line(case.title) == case.title
