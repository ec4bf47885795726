# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage patch: make the patch for this source, and the source package that carries it.

``apply_fix`` and ``quilt_patch`` make text; ``patch`` puts that into a source package, as a quilt
patch with a DEP-3 header, with an entry in series, a changelog entry and a new .dsc. The user's own
patches come after those of the fixes.
"""

from __future__ import annotations

import datetime
import difflib
import email.utils
import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from debian.changelog import ChangeBlock, Changelog, ChangelogParseError

from pipeline.archives import dsc_file
from pipeline.errors import PatchError
from pipeline.files import bounded
from pipeline.fixes import coccinelle, own_patches, versions
from pipeline.fixes.fixes import Fix
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host import command
from pipeline.host.cache import file_sha256
from pipeline.host.progress import QUIET, Stage
from pipeline.host.resources import package_data, render
from pipeline.isolation import lent, sandbox
from pipeline.model import Patched, Source

CHANGELOG = 16 << 20
"""Bytes of a debian/changelog; iproute2's has 60 kB."""
AUTHOR = "iproute2-respin <respin@localhost>"
STYLE = "kernel.clang-format"
"""Beside this module."""
LAYOUT_SECONDS = 120.0
DPKG_SECONDS = 300.0


def apply_fix(tree: Path, fix: Fix) -> tuple[str, ...]:
    """Apply a fix's semantic patch to a source tree in place; return the files it changed.

    The added code is formatted like iproute2's own. Raises PatchError if nothing changes.
    """
    return apply_fix_to_all([tree], fix)[0]


def apply_fix_to_all(trees: Sequence[Path], fix: Fix) -> list[tuple[str, ...]]:
    """Fix many trees as ``apply_fix`` would each of them, at a fraction of the cost."""
    before = [_texts(tree, fix) for tree in trees]
    coccinelle.apply(
        trees,
        fix.fix_cocci,
        fix.files,
        error=PatchError,
        brief=f"Coccinelle could not apply {fix.name}",
    )
    rows = []
    for tree, texts in zip(trees, before, strict=True):
        after = _texts(tree, fix)
        changed = tuple(f for f, text in texts.items() if after[f] != text)
        if not changed:
            raise PatchError(
                f"the semantic patch of {fix.name} changed nothing in this source",
                hint="please report this source as a bug",
            )
        rows.append(changed)
    work = [
        (t / f, texts[f]) for t, texts, row in zip(trees, before, rows, strict=True) for f in row
    ]
    with command.threads(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(_lay_out, *zip(*work, strict=True)))
    return rows


def _texts(tree: Path, fix: Fix) -> dict[str, str]:
    return {
        f: (tree / f).read_text("utf-8", "surrogateescape")
        for f in fix.files
        if (tree / f).is_file()
    }


def _lay_out(path: Path, before: str) -> None:
    """Format the added lines, and no others.

    Coccinelle's printer loses some spaces and alignments. clang-format can be restricted to line
    ranges; indent and astyle cannot.
    """
    after = path.read_text("utf-8", "surrogateescape")
    blocks = difflib.SequenceMatcher(
        None, before.splitlines(), after.splitlines(), autojunk=False
    ).get_opcodes()
    # A line that replaces another inside a statement keeps its layout: clang-format would join the
    # lines around it if they fit into one.
    lines = after.splitlines()
    ranges = [
        f"--lines={new + 1}:{new_end}"
        for tag, old, old_end, new, new_end in blocks
        if tag == "insert"
        or (tag == "replace" and (old_end - old != new_end - new or lines[new_end - 1][-1:] == ";"))
    ]
    if not ranges:
        return
    with lent.lent(None, "respin-layout-") as directory:
        shutil.copyfile(path, directory / path.name)
        shutil.copyfile(package_data(__package__, STYLE), directory / STYLE)
        sandbox.run(
            ["clang-format", "-i", f"--style=file:{STYLE}", *ranges, path.name],
            directory=directory,
            timeout=LAYOUT_SECONDS,
            error=PatchError,
            brief="clang-format could not format the patched code",
        )
        path.write_bytes((directory / path.name).read_bytes())


def unified(directory: Path, names: Sequence[str]) -> str:
    """Return a ``-p1`` patch: how files in ``directory/a`` and ``directory/b`` differ."""
    parts = []
    for f in names:
        old, new = f"a/{f}", f"b/{f}"
        done = sandbox.run(
            ["diff", "-up", "--label", old, "--label", new, old, new],
            directory=directory,
            check=False,
            error=PatchError,
        )
        if done.status != 1:
            raise PatchError(f"diff could not write the patch of {f}", details=done.text)
        parts.append(done.stdout.decode("utf-8", "surrogateescape"))
    return "".join(parts)


def quilt_patch(fix: Fix, diff: str, date: datetime.datetime) -> str:
    """Return a patch with its DEP-3 header; ``date`` is the date of the changelog entry."""
    fields = [(name, value) for name, value in fix.dep3.items()]
    fields.append(("Last-Update", date.strftime("%Y-%m-%d")))
    return render("dep3.patch.j2", fields=fields, diff=diff.rstrip("\n"))


def changelog_entry(
    text: str,
    *,
    version: str,
    fixes: Sequence[Fix],
    number: int,
    quilt: bool = True,
    own: Sequence[OwnPatch] = (),
) -> tuple[str, datetime.datetime]:
    """Return a debian/changelog with respin's entry on top, and that entry's date.

    The date is the distro's plus one second per rebuild, so that the same input gives the same
    output. Raises PatchError if the changelog cannot be read.
    """
    top, date = _newest_entry(text)
    try:
        date += datetime.timedelta(seconds=number)
    except OverflowError as e:
        raise PatchError(
            f"debian/changelog has the date {date:%F}, after which there is no later one"
        ) from e
    log = Changelog()
    log.new_block(
        package=top.package,
        version=version,
        distributions=top.distributions,
        urgency="medium",
        author=AUTHOR,
        date=email.utils.format_datetime(date),
    )
    log.add_change("")
    # Lintian accepts "Local package" for an upload that is neither the maintainer's nor an NMU.
    log.add_change(f"  * Local package, rebuilt by iproute2-respin from {top.version}.")
    changes = [(fix.dep3["Description"].splitlines()[0], patch_name(fix)) for fix in fixes]
    changes += [(f"Apply {each.name}, a patch of the user's own.", each.name) for each in own]
    for what, name in changes:
        log.add_change(f"  * {what}")
        if quilt:
            log.add_change(f"    (debian/patches/{name})")
    log.add_change("")
    return f"{str(log).strip()}\n\n{text}", date


def _newest_entry(text: str) -> tuple[ChangeBlock, datetime.datetime]:
    try:
        top = Changelog(text, strict=True, max_blocks=1)[0]
        return top, email.utils.parsedate_to_datetime(str(top.date))
    except (ChangelogParseError, ValueError, TypeError, IndexError, OverflowError) as e:
        raise PatchError("respin could not parse debian/changelog", details=str(e)[:400]) from e


def changelog_epoch(tree: Path) -> int:
    """Return the date of a source tree's newest changelog entry, in seconds since 1970."""
    return int(_newest_entry(_changelog(tree))[1].timestamp())


def _changelog(tree: Path) -> str:
    """Return the text of a source tree's debian/changelog; raise PatchError."""
    try:
        return bounded.text(tree / "debian/changelog", CHANGELOG, follow=False)
    except OSError as e:
        raise PatchError(f"respin could not read debian/changelog: {e.strerror}") from e
    except ValueError as e:
        raise PatchError(
            "debian/changelog is not UTF-8",
            details=str(e),
            hint="convert it, as Debian Policy 4.4 requires: iconv -f latin1 -t utf-8",
        ) from e


def patch_name(fix: Fix) -> str:
    """Return the name of a fix's file in debian/patches."""
    return f"respin-{fix.name}.patch"


def patch(
    source: Source,
    tree: Path,
    fixes: Sequence[Fix],
    dest: Path,
    *,
    own: Sequence[OwnPatch] = (),
    number: int = 1,
    log: Path | None = None,
    stage: Stage = QUIET,
) -> Patched:
    """Make the patched source package of ``source``.

    ``tree`` is the unpacked source (it stays unchanged), ``fixes`` are those that it needs, ``own``
    are the user's own patches, and ``dest`` is a new directory that receives the .dsc with its
    files, and the patches alone in ``dest/patches``. Raises PatchError and leaves no ``dest``.
    """
    version = versions.rebuilt(
        source.version, source.release.distro, number, rule=source.release.suffix
    )
    dest.parent.mkdir(parents=True, exist_ok=True)
    with lent.lent(dest.parent, ".patch-") as work:
        old = _changelog(tree)
        entry = functools.partial(
            changelog_entry, old, version=version, number=number, quilt=_is_quilt(tree)
        )
        _, date = entry(fixes=fixes)
        texts = _patches(tree, fixes, work, date)
        try:
            fixed = _fixed(tree, work) if own or not _is_quilt(tree) else tree
            applied = own_patches.apply(fixed, own, work / "own")
            texts |= {each.name: each.text for each in applied.patches}
            changelog, _ = entry(fixes=fixes, own=applied.patches)
            new = _edited(tree, work, applied.tree, texts, changelog)
        except OSError as e:
            raise PatchError("respin could not edit the source tree", details=str(e)) from e
        dsc = _source_package(source, new, version, date, log)
        (dsc.parent / "patches").mkdir()
        for name, text in texts.items():
            (dsc.parent / "patches" / name).write_text(text, "utf-8", "surrogateescape")
        shutil.rmtree(new)
        dsc.parent.rename(dest)
    stage.note(f"{source.name} {version}: {', '.join(texts)}")
    return Patched(
        source=source,
        version=version,
        dsc=dest / dsc.name,
        sha256=file_sha256(dest / dsc.name),
        patches=tuple(dest / "patches" / name for name in texts),
        fixes=tuple(fix.name for fix in fixes),
        own=applied.fates,
        epoch=int(date.timestamp()),
    )


def _patches(
    tree: Path, fixes: Sequence[Fix], work: Path, date: datetime.datetime
) -> dict[str, str]:
    """Return the patch of each fix, name -> text; each applies on top of the one before."""
    found = diffs(tree, fixes, work)
    return {patch_name(fix): quilt_patch(fix, diff, date) for fix, diff in found}


def diffs(tree: Path, fixes: Sequence[Fix], work: Path) -> list[tuple[Fix, str]]:
    """Return each fix with what it changes in a tree; each applies on top of the one before.

    The tree is not changed; ``work`` then has the files of all fixes, without them in ``a`` and
    with them in ``b``. Raises PatchError.
    """
    old, new = work / "a", work / "b"
    for f in {f for fix in fixes for f in fix.files if (tree / f).is_file()}:
        for side in (old, new):
            (side / f).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / f, side / f)
    found = []
    for fix in fixes:
        changed = apply_fix(new, fix)
        found.append((fix, unified(work, changed)))
        for f in changed:
            shutil.copy(new / f, old / f)
    return found


def _is_quilt(tree: Path) -> bool:
    """Return whether changes go into debian/patches; in other formats they go into the files."""
    source_format = tree / "debian/source/format"
    try:
        text = bounded.text(source_format, bounded.SMALL, errors="replace", follow=False)
    except OSError:
        return False
    return text.strip() == "3.0 (quilt)"


def _fixed(tree: Path, work: Path) -> Path:
    """Return a copy of the source tree with the fixes applied to its files."""
    fixed = work / "fixed"
    shutil.copytree(tree, fixed, symlinks=True)
    if (work / "b").is_dir():
        shutil.copytree(work / "b", fixed, dirs_exist_ok=True)
    return fixed


def _edited(
    tree: Path, work: Path, applied: Path, texts: Mapping[str, str], changelog: str
) -> Path:
    """Return a copy of the source tree with the patches and the changelog entry added.

    ``applied`` is the tree with the patches applied to its files.
    """
    top = work / "out" / "source"
    quilt = _is_quilt(tree)
    shutil.copytree(tree if quilt else applied, top, symlinks=True)
    (top / "debian/changelog").write_text(changelog, "utf-8")
    if not quilt:
        return top
    directory = top / "debian/patches"
    directory.mkdir(exist_ok=True)
    series = directory / "series"
    listed = ""
    if series.is_file():
        listed = bounded.text(series, bounded.SMALL, errors="surrogateescape", follow=False)
    if listed and not listed.endswith("\n"):
        listed += "\n"
    for name, patch_text in texts.items():
        if (directory / name).exists() or (directory / name).is_symlink():
            raise PatchError(f"the source already has debian/patches/{name}")
        (directory / name).write_text(patch_text, "utf-8", "surrogateescape")
        listed += f"{name}\n"
    series.write_text(listed, "utf-8", "surrogateescape")
    return top


def _source_package(
    source: Source, top: Path, version: str, date: datetime.datetime, log: Path | None
) -> Path:
    """Build the source package beside ``top``; return the .dsc."""
    for file in source.files:
        if ".orig" in file.path.name:
            shutil.copy(file.path, top.parent / file.path.name)
    sandbox.run(
        # dpkg-source applies the new patch itself, without fuzz, or fails.
        ["dpkg-source", "-b", top.name],
        directory=top.parent,
        env={"SOURCE_DATE_EPOCH": str(int(date.timestamp()))},
        timeout=DPKG_SECONDS,
        log=log,
        error=PatchError,
        brief=f"dpkg-source could not make the source package {version}",
    )
    made = list(top.parent.glob("*.dsc"))
    if len(made) != 1:
        raise PatchError("dpkg-source wrote no .dsc", details=str([str(m) for m in made]))
    fields = dsc_file.parse(bounded.read(made[0], dsc_file.LIMIT), made[0].name)
    if (fields.name, fields.version) != (source.name, version):
        raise PatchError(
            f"dpkg-source made {fields.name} {fields.version} instead of {source.name} {version}",
            hint="please report this source as a bug",
        )
    return made[0]
