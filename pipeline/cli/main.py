# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: it reads arguments, makes one call, and prints text and an exit code."""

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
  0  success                        13  the build failed
  1  a bug in respin                14  the smoke test failed
  2  usage or configuration         15  the smoke test is not possible here
  10 fetch or verification failed   16 the testbed was lost
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


def _cases(names: tuple[str, ...]) -> tuple[str, ...] | None:
    if names:
        select(names)  # refuses an unknown name before anything is built
    return names or None


@cli.command()
@source_options
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="FILE[:SECTION]",
    help="Object of your own that the new package must load.",
)
@click.option(
    "--way",
    metavar="NAME",
    default="tc",
    help="Attach type of your objects; `respin smoke --list` lists them [default: tc].",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="NAME",
    help="Run only this smoke case [default: the short set].",
)
@container_options
@click.option("--prove", is_flag=True, help="Run the smoke test even if no fix is needed.")
@click.option("--keep", is_flag=True, help="Keep the unfinished directory of a failed run.")
@common_options
def run(**options: Any) -> None:
    """Do everything from fetch to proof; leave the .deb, the patch and the report in a directory.

    Prints the paths of the new .debs on standard output.
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
    """Fetch only: leave the verified source package in a directory."""
    _go(single_stage.fetch_only, order_of(options), options)


@cli.command()
@click.argument("earlier", metavar="[RUN]", type=FOLDER, required=False)
@source_options
@common_options
def patch(earlier: Path | None, **options: Any) -> None:
    """Fetch and patch: leave the patched source package in a directory; build nothing.

    With RUN, a directory that `fetch` or `run` made, patch the source in it.
    """
    if earlier is None:
        _go(single_stage.patch_only, order_of(options), options)
        return
    own = ("release", "version", "dsc", "tree", "locked", "pockets", "accepted")
    both = [name.replace("accepted", "accept-unsigned-source") for name in own if options[name]]
    if both:
        raise UsageError(
            f"{earlier} already contains a source, so --{both[0].removesuffix('s')} cannot be used "
            "with it",
            hint="omit one of them",
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
    """Build only: the patched source in RUN, a directory that `patch` or `run` made."""
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
@click.option(
    "--debs", type=FOLDER, help="Directory that dpkg-buildpackage wrote to [default: that in RUN]."
)
@again_options
@common_options
def prove(earlier: Path, debs: Path | None, **options: Any) -> None:
    """Prove only: the packages in RUN, or those built elsewhere from its source."""
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
    help="Unpacked source tree.",
)
@click.option("--dsc", type=FILE, help="Source package.")
@click.option("--fix", "fix", multiple=True, metavar="NAME", help="Look for this fix only.")
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
    """Show which fixes a source tree needs. Exits 11 if a verdict is unknown, else 0."""
    if (tree is None) == (dsc is None):
        raise UsageError("diagnose needs exactly one of --tree and --dsc")
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
@click.option(
    "--config", "path", type=FILE, help="Configuration [default: $RESPIN_CONFIG or the user's own]."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
def releases_command(path: Path | None, as_json: bool) -> None:
    """List all known releases, their support, and the defects of their iproute2."""
    listed = catalogue.listing(configured(path), datetime.date.today())
    if as_json:
        terminal.say_json(catalogue.to_json(listed))
    else:
        for line in catalogue.table(listed):
            terminal.say(line)


@cli.command(name="doctor")
@common_options
def doctor_command(cache: Path | None, as_json: bool, verbose: bool) -> None:
    """Check what each stage needs on this machine, and show the command that fixes it."""
    checks = doctor.examine(cache)
    if as_json:
        terminal.say_json([dataclasses.asdict(c) for c in checks])
    else:
        summaries.show_doctor(checks)
    if any(check.required and not check.ok for check in checks):
        raise UsageError(
            "this machine lacks something that respin needs",
            hint="run the commands in the last column",
        )


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(respin completion bash)"."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    if complete is None:
        raise UsageError(f"respin has no completion for {shell}")
    terminal.say_lines(complete(cli, {}, "respin", "_RESPIN_COMPLETE").source())


for _command in (*nightly.COMMANDS, key.key_group, init.init, smoke.smoke):
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
