# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: arguments in, one call, words and an exit code out."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline import __version__
from pipeline import run as pipeline_run
from pipeline.cli import catalogue, doctor, ending, init, key, nightly, smoke, summaries, terminal
from pipeline.cli.options import (
    FILE,
    FOLDER,
    again_options,
    common_options,
    configured,
    container_options,
    order_again,
    order_of,
    source_options,
    trust_option,
)
from pipeline.containers.engines import Kind
from pipeline.errors import UsageError
from pipeline.files import ownership
from pipeline.fixes import diagnose, fixes
from pipeline.runs import report, single_stage
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Order
from pipeline.smoke.cases import select

CODES = """\b
Exit codes:
  0  the outcome was reached        13  the build failed
  1  a bug of respin                14  the smoke test failed
  2  usage or configuration         15  the smoke test is not possible here
  10 fetch or verification          16 the testbed was lost
  11 diagnosis refused              17 publishing failed
  12 patch or package edit refused  18 another run holds the lock
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
    respin run --object prog.o      ... and my own object has to load, too
    respin doctor                   what this machine lacks for it
    """
    try:
        here = str(Path.cwd())
    except OSError as e:
        raise UsageError(
            f"the current directory cannot be used: {e.strerror}",
            hint="go to one that is there: cd",
        ) from e
    _utf8("the name of the current directory", here)


def _cases(names: tuple[str, ...]) -> tuple[str, ...] | None:
    if names:
        select(names)  # refuses a name that is none, before anything is built
    return names or None


@cli.command()
@source_options
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="FILE[:SECTION]",
    help="An object of yours that the new package must load.",
)
@click.option(
    "--way",
    metavar="NAME",
    default="tc",
    help="How your objects are attached: respin smoke --list [default: tc].",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="NAME",
    help="Only this smoke case [default: the short set].",
)
@container_options
@click.option("--prove", is_flag=True, help="Smoke-test also where no fix is needed.")
@click.option("--keep", is_flag=True, help="Keep the unfinished directory of a failed run.")
@common_options
def run(**options: Any) -> None:
    """From fetch to proof: leave the fixed .deb, the patch and the report in a directory.

    The paths of the new .debs go to standard output.
    """
    order = order_of(
        options,
        cases=_cases(options["cases"]),
        objects=smoke.objects(options["objects"], (options["way"],)),
        container=Kind(options["container"]),
        image=options["image"],
        force_host=options["force_host"],
        prove=options["prove"],
        keep=options["keep"],
    )
    _go(pipeline_run.run, order, options)


@cli.command(name="fetch")
@source_options
@common_options
def fetch_command(**options: Any) -> None:
    """Only fetch: leave the verified source package in a directory."""
    _go(single_stage.fetch_only, order_of(options), options)


@cli.command()
@click.argument("earlier", metavar="[RUN]", type=FOLDER, required=False)
@source_options
@common_options
def patch(earlier: Path | None, **options: Any) -> None:
    """Fetch to patch: leave the patched source package in a directory, and build nothing.

    With RUN, a directory of `fetch` or of a whole run, its source is taken.
    """
    if earlier is None:
        _go(single_stage.patch_only, order_of(options), options)
        return
    own = ("release", "version", "dsc", "tree", "locked", "pockets", "accepted")
    both = [name.replace("accepted", "accept-unsigned-source") for name in own if options[name]]
    if both:
        raise UsageError(
            f"{earlier} has a source: --{both[0].removesuffix('s')} cannot be given as well",
            hint="leave out one of them",
        )
    order = order_again(
        earlier,
        options,
        fixes=fixes.choose(options["fix"]),
        number=options["number"],
        trust_container=options["trust_container"],
    )
    _go(
        lambda o, out, shown: single_stage.patch_only(o, out, shown, earlier=earlier),
        order,
        options,
    )


@cli.command(name="build")
@click.argument("earlier", metavar="RUN", type=FOLDER)
@container_options
@again_options
@common_options
def build_command(earlier: Path, **options: Any) -> None:
    """Only build: the patched source of RUN, a directory of `patch` or of a whole run."""
    order = order_again(
        earlier,
        options,
        container=Kind(options["container"]),
        image=options["image"],
        force_host=options["force_host"],
    )
    _go(lambda o, out, shown: single_stage.build_only(o, earlier, out, shown), order, options)


@cli.command()
@click.argument("earlier", metavar="RUN", type=FOLDER)
@click.option("--debs", type=FOLDER, help="What dpkg-buildpackage left [default: RUN's own].")
@again_options
@common_options
def prove(earlier: Path, debs: Path | None, **options: Any) -> None:
    """Only prove: the packages of RUN, or those that were built of its source elsewhere."""
    order = order_again(earlier, options)
    _go(lambda o, out, shown: single_stage.prove_only(o, earlier, debs, out, shown), order, options)


def _go(what: Callable[..., Report], order: Order, options: dict[str, Any]) -> None:
    out = options["out"] or Path(f"respin-{order.release.codename}")
    with terminal.Terminal(verbose=options["verbose"]) as shown:
        done = what(order, out, shown)
    summaries.show_report(done)
    if options["as_json"]:
        terminal.say_json(report.to_json(done, out.absolute()))
    elif done.built:
        for deb in done.built.debs:
            terminal.say(deb.path)
    elif done.outcome is Outcome.PATCHED and done.patched:
        terminal.say(done.patched.dsc)
    elif done.outcome is Outcome.FETCHED:
        terminal.say(done.source.dsc)


@cli.command(name="diagnose")
@click.option(
    "--tree",
    type=FOLDER,
    help="An unpacked source.",
)
@click.option("--dsc", type=FILE, help="A source package.")
@click.option("--fix", "fix", multiple=True, metavar="NAME", help="Only this fix.")
@trust_option
@common_options
def diagnose_command(
    tree: Path | None,
    dsc: Path | None,
    fix: tuple[str, ...],
    trust_container: bool,
    cache: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Say which fixes a source tree needs: exit 0 whatever the verdicts, 11 if any is unknown."""
    if (tree is None) == (dsc is None):
        raise UsageError("diagnose wants one of --tree and --dsc")
    chosen = fixes.choose(fix)
    with terminal.Terminal(verbose=verbose) as shown:
        found = single_stage.diagnose_only(
            tree, dsc, chosen, shown, trust_container=trust_container
        )
    if as_json:
        terminal.say_json(report.diagnosis_json(found))
    else:
        summaries.show_findings(found)
    diagnose.refuse_unknown(found)


@cli.command(name="releases")
@click.option("--config", "path", type=FILE, help="[default: $RESPIN_CONFIG or the user's own]")
@click.option("--json", "as_json", is_flag=True, help="On standard output, as JSON.")
def releases_command(path: Path | None, as_json: bool) -> None:
    """List every release that is known, its support, and which defects its iproute2 has."""
    listed = catalogue.listing(configured(path), datetime.date.today())
    if as_json:
        terminal.say_json(catalogue.to_json(listed))
    else:
        for line in catalogue.table(listed):
            terminal.say(line)


@cli.command(name="doctor")
@common_options
def doctor_command(cache: Path | None, as_json: bool, verbose: bool) -> None:
    """Say what this machine has and lacks for each stage, with the command that mends it."""
    checks = doctor.examine(cache)
    if as_json:
        terminal.say_json([dataclasses.asdict(c) for c in checks])
    else:
        summaries.show_doctor(checks)
    if any(check.required and not check.ok for check in checks):
        raise UsageError("this machine lacks something", hint="run the commands that are shown")


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(respin completion bash)"."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    if complete is None:
        raise UsageError(f"there is no completion for {shell}")
    terminal.say_lines(complete(cli, {}, "respin", "_RESPIN_COMPLETE").source())


for _command in (*nightly.COMMANDS, key.key_group, init.init, smoke.smoke):
    cli.add_command(_command)


def _at_home() -> None:
    """Name this user's home where nobody has: a service of the system's has no $HOME.

    Coccinelle fails without one, and the places of cache and configuration hang on it.
    """
    if not os.environ.get("HOME"):
        try:
            os.environ["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:  # a number that nobody has, in somebody's container
            os.environ["HOME"] = "/nonexistent"


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with the code that DESIGN gives."""
    _at_home()
    ownership.close_to_others()
    ending.run(lambda: _call(sys.argv[1:] if argv is None else argv))


def _utf8(what: str, text: str) -> None:
    """Raise UsageError for bytes that are no text: reports and programs would choke on them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise UsageError(
            f"{what} is not UTF-8",
            details=text.encode("utf-8", "backslashreplace").decode(),
            hint="give it another name",
        ) from e


def _call(argv: list[str]) -> int:
    """Call a command; return its exit code. What ends it otherwise is raised as it is."""
    for number, word in enumerate(argv, 1):
        _utf8(f"the word {number} of the command line", word)
    for name, value in os.environ.items():
        if name.startswith("RESPIN_") or name in ("HOME", "TMPDIR"):
            _utf8(f"the variable {name}", value)
    if "_RESPIN_COMPLETE" in os.environ:  # a shell asks how a word goes on
        cli.main(argv, prog_name="respin")
    try:
        with cli.make_context("respin", list(argv)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as e:
        return e.exit_code
    return 0
