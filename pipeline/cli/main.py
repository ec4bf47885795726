# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: it reads arguments, makes one call, and prints text and an exit code."""

from __future__ import annotations

import datetime
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline import __version__
from pipeline.cli import (
    catalogue,
    doctor,
    ending,
    init,
    key,
    nightly,
    object,
    run,
    smoke,
    stages,
    state,
    summaries,
    terminal,
    unpacked,
    verify,
)
from pipeline.cli.options import COMMON, CONFIG, JSON, CommonOptions, takes
from pipeline.cli.request import configured
from pipeline.errors import UsageError
from pipeline.files import ownership

CODES = """\b
Exit codes:
  0  success                        13  the build failed
  1  a bug in respin                14  the smoke test failed
  2  usage or configuration         15  the smoke test is not possible here
  10 fetch or verification failed   16 the testbed was lost
  11 diagnosis refused              17 publishing failed
  12 patch or package edit refused  18 another run holds the lock
                                    19 not verified (respin verify)
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=CODES,
)
@click.version_option(__version__, prog_name="respin")
def cli() -> None:
    """Rebuild a distro's iproute2 so that tc and ip load BPF objects with legacy maps again.

    Fetches the exact source of the release, finds out what it needs, patches and rebuilds it
    in a container, and proves on a real kernel, in a virtual machine, that the distro's
    package fails where the new one works.

    \b
    respin run                      this machine's release
    respin run --release trixie     another one
    respin run --object prog.o      ... and your own object must load as well
    respin doctor                   what this machine still needs
    """
    try:
        here = str(Path.cwd())
    except OSError as e:
        raise UsageError(
            f"respin cannot use the current directory: {e.strerror}",
            hint="change to an existing directory with cd",
        ) from e
    _utf8("the name of the current directory", here)


for _command in (run.run_command, *stages.COMMANDS, unpacked.tc_command):
    cli.add_command(_command)


@dataclass(frozen=True, kw_only=True)
class ReleasesOptions:
    """The options of ``respin releases``."""

    config: Path | None
    everything: bool
    as_json: bool


@cli.command(name="releases")
@CONFIG
@click.option("--all", "everything", is_flag=True, help="List every release that is known.")
@JSON
@takes(ReleasesOptions)
def releases_command(options: ReleasesOptions) -> None:
    """List the releases that are supported or have a defect, and which defects those are."""
    known = catalogue.listing(configured(options.config), datetime.date.today())
    listed = known if options.everything else catalogue.chosen(known)
    if options.as_json:
        terminal.say_json(catalogue.to_json(listed))
        return
    for line in catalogue.table(listed):
        terminal.say(line)
    terminal.tell(catalogue.NOTE)
    if len(listed) < len(known):
        terminal.tell(f"--all lists {len(known) - len(listed)} more releases")


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """The options of ``respin doctor``."""

    common: CommonOptions
    architectures: tuple[str, ...]


@cli.command(name="doctor")
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    help="Check also what packages for another architecture need, such as arm64, or for all of "
    "them; can be repeated.",
)
@COMMON
@takes(DoctorOptions)
def doctor_command(options: DoctorOptions) -> None:
    """Check what each stage needs on this machine, and show the command that fixes it."""
    checks = doctor.examine(options.common.cache, options.architectures)
    if options.common.as_json:
        terminal.say_json(doctor.to_json(checks))
    else:
        summaries.show_doctor(checks)
    if any(check.required and not check.ok for check in checks):
        raise UsageError(
            "this machine lacks something that respin needs",
            hint="run the commands in the last column",
        )


@dataclass(frozen=True, kw_only=True)
class CompletionOptions:
    """The options of ``respin completion``."""

    shell: str


@cli.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@takes(CompletionOptions)
def completion_command(options: CompletionOptions) -> None:
    """Print the completion script of a shell: eval "$(respin completion bash)"."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(options.shell)
    if complete is None:
        raise UsageError(f"respin has no completion for {options.shell}")
    terminal.say_lines(complete(cli, {}, "respin", "_RESPIN_COMPLETE").source())


for _command in (
    nightly.nightly_command,
    *state.COMMANDS,
    key.key_group,
    init.init,
    smoke.smoke,
    object.object_command,
    verify.verify_command,
):
    cli.add_command(_command)


def _at_home() -> None:
    """Set $HOME if it is not set: a system service has none.

    Coccinelle fails without it, and the paths of cache and configuration depend on it.
    """
    if not os.environ.get("HOME"):
        try:
            os.environ["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:  # a container may run as a user id without a name
            os.environ["HOME"] = "/nonexistent"


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with the code that the README lists."""
    _at_home()
    ownership.close_to_others()
    ending.run(lambda: _call(sys.argv[1:] if argv is None else argv))


def _utf8(what: str, text: str) -> None:
    """Raise UsageError for bytes that are not UTF-8: reports and programs cannot handle them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise UsageError(
            f"{what} is not UTF-8",
            details=text.encode("utf-8", "backslashreplace").decode(),
            hint="choose another name for it",
        ) from e


def _call(argv: list[str]) -> int:
    """Call a command and return its exit code; let every exception pass."""
    for number, word in enumerate(argv, 1):
        _utf8(f"argument {number} of the command line", word)
    for name, value in os.environ.items():
        if name.startswith("RESPIN_") or name in ("HOME", "TMPDIR"):
            _utf8(f"the variable {name}", value)
    if "_RESPIN_COMPLETE" in os.environ:  # a shell asks for a completion
        cli.main(argv, prog_name="respin")
    try:
        with cli.make_context("respin", list(argv)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as e:
        return e.exit_code
    return 0
