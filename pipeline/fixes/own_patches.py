# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Apply the user's own patches to a source tree, one after the other, without fuzz.

patch(1) applies them in the sandbox, with the options by which dpkg-source applies those of
debian/patches (Dpkg::Source::Patch). What a patch did is then seen from the tree, and not believed
from the patch: the files that it changed must be ones that a quilt patch can change.
"""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PatchError
from pipeline.files import bounded
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host.cache import file_sha256
from pipeline.isolation import lent, sandbox
from pipeline.model import Fate, UserPatch

SECONDS = 60.0
SHOWN = 12
"""Lines of the source that an error shows where a hunk does not apply."""
FILE_BYTES = 4 << 20

_FILE = re.compile(r"^(?:checking|patching) file (.+)$")
_FAILED = re.compile(r"^Hunk #(\d+) FAILED at (\d+)")
_NOT_FOUND = re.compile(r"^\|(?:\+\+\+|---) ([^\t]+)")


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What came of the user's patches."""

    tree: Path
    """The source tree with all that apply."""
    patches: tuple[OwnPatch, ...]
    """Those that apply."""
    fates: tuple[UserPatch, ...]
    """What came of each that was given."""


def apply(tree: Path, patches: Sequence[OwnPatch], work: Path) -> Applied:
    """Apply patches to copies of ``tree``, which stays unchanged, in the new directory ``work``.

    A patch that the tree already has is left out, as is an optional one that does not apply. Raises
    PatchError if another does not apply, with file, hunk, and what stands there; if its context
    fits in both directions; and if it changes what a quilt patch cannot, such as debian/.
    """
    work.mkdir()
    current, applied, fates = tree, [], []
    for number, patch in enumerate(patches):
        place = work / str(number)
        new, status, said = _try(current, patch, place / "forwards")
        _, back, _ = _try(current, patch, place / "back", "--reverse")
        if status == 0 and back == 0:
            raise PatchError(
                f"{patch.name} has too little context: it applies to this source, and the source "
                "also looks as if it had it already",
                hint="make it again with more lines of context, as with diff -U10",
            )
        if status == 0:
            _check_changes(patch.name, current, new)
            applied.append(patch)
            current = new
            fates.append(_fate(patch, Fate.APPLIED))
        elif back == 0:
            fates.append(_fate(patch, Fate.IN_SOURCE, "the source already has it"))
        elif patch.optional:
            fates.append(_fate(patch, Fate.LEFT_OUT, _places(said, patch.name, new)[0]))
        else:
            places = _places(said, patch.name, new)
            raise PatchError(
                f"the patch {places[0]}",
                details="\n".join(places[1:]) or said,
                hint=f"refresh the patch for this version, or give it as {patch.name},optional, "
                "which leaves it out where it does not apply",
            )
    return Applied(tree=current, patches=tuple(applied), fates=tuple(fates))


def check_there(tree: Path, patches: Sequence[OwnPatch], work: Path) -> None:
    """Raise PatchError unless a tree has all of these patches, the last one on top.

    Each is taken out of a copy of it, in the new directory ``work``.
    """
    work.mkdir()
    for number, patch in enumerate(reversed(patches)):
        tree, status, said = _try(tree, patch, work / str(number), "--reverse")
        if status != 0:
            raise PatchError(
                f"the patched source does not have what {patch.name} changes",
                details=said,
                hint="what the source says of how it is packed may be the reason: see its "
                "debian/source/options",
            )


def _fate(patch: OwnPatch, fate: Fate, reason: str = "") -> UserPatch:
    return UserPatch(
        name=patch.name, sha256=patch.sha256, optional=patch.optional, fate=fate, reason=reason
    )


def _try(tree: Path, patch: OwnPatch, place: Path, *more: str) -> tuple[Path, int, str]:
    """Apply a patch to a copy of a tree; return the copy, the exit status, and what patch said."""
    new = place / "tree"
    shutil.copytree(tree, new, symlinks=True)
    (place / "user.patch").write_bytes(patch.content)
    options = ["-p1", "-F0", "-u", "-E", "-V", "never", "--force", "--no-backup-if-mismatch"]
    done = sandbox.run(
        ["patch", *options, "--reject-file=-", *more, "--input=../user.patch"],
        directory=place,
        at="tree",
        timeout=SECONDS,
        check=False,
        error=PatchError,
        brief=f"patch could not apply {patch.name}",
    )
    return new, done.status, done.text.strip()


def _places(said: str, name: str, tree: Path) -> list[str]:
    """Return the brief that a patch does not apply, and then for each place what stands there."""
    file, found = "", []
    for line in said.splitlines():
        if match := _FILE.match(line):
            file = match[1]
        elif match := _FAILED.match(line):
            found.append((file, f"hunk {match[1]}", _lines(tree, file, int(match[2]))))
        elif match := _NOT_FOUND.match(line):
            file = match[1].partition("/")[2]
        elif line.startswith("No file to patch"):
            found.append((file, "hunk 1", f"the source has no {file}"))
    if not found:
        return [f"{name} does not apply: patch refuses it", said]
    first = f"{name} does not apply to {found[0][0]}: {found[0][1]}"
    return [first, *(f"{file}, {hunk}: {there}" for file, hunk, there in found)]


def _lines(tree: Path, file: str, first: int) -> str:
    """Return what stands in a file of a tree where a hunk would belong."""
    path = tree / file
    if not path.resolve().is_relative_to(tree.resolve()):
        return "it is not in the source"
    try:
        lines = bounded.text(path, FILE_BYTES, errors="replace", follow=False).splitlines()
    except OSError as e:
        return f"the file cannot be read: {e.strerror}"
    there = lines[max(0, first - 1) : first - 1 + SHOWN]
    if not there:
        return f"the file has {len(lines)} lines, and the hunk belongs at line {first}"
    return f"at line {first} stands\n" + "\n".join(f"    {line}" for line in there)


def _check_changes(name: str, old: Path, new: Path) -> None:
    """Raise PatchError if a patch changed nothing, or what a patch in debian/patches cannot."""
    before, after = dict(_entries(old)), dict(_entries(new))
    changed = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    if not changed:
        raise PatchError(f"{name} changes nothing", hint="omit it")
    for path in changed:
        why = _refused(path, before.get(path), after.get(path))
        if why:
            raise PatchError(
                f"{name} changes {path[:200]!r}: {why}",
                hint="leave that out of the patch; to change how the package is built, edit an "
                "unpacked source and give it with --tree",
            )


def _refused(path: str, old: tuple[int, str] | None, new: tuple[int, str] | None) -> str:
    """Return why a quilt patch must not change a path like this; empty if it may."""
    parts = path.split("/")
    if parts[0] in ("debian", ".pc"):
        return f"a patch in debian/patches cannot change {parts[0]}/"
    if ".git" in parts:
        return "it belongs to git, not to the source"
    if not path.isprintable():
        return "its name has characters that nobody sees"
    kinds = [stat.S_IFMT(each[0]) for each in (old, new) if each]
    if any(kind not in (stat.S_IFREG, stat.S_IFDIR) for kind in kinds):
        return "it is a symbolic link, and a patch changes regular files"
    if old and new and old[0] != new[0]:
        return "a source package does not carry a change of its mode"
    return ""


def _entries(tree: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield the path of everything in a tree, with its mode, and its content or target."""
    for each in lent.entries(tree):
        path, mode = tree / each.path, each.info.st_mode
        if stat.S_ISREG(mode):
            yield each.path, (stat.S_IFREG | mode & 0o111, file_sha256(path))
        else:
            target = str(path.readlink()) if stat.S_ISLNK(mode) else ""
            yield each.path, (stat.S_IFMT(mode), target)
