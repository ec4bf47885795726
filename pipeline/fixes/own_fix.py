# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A fix of the user's own: a directory like those under patches/, outside the project.

It is read once, checked (fix.schema.json, and what a schema cannot say), and kept in the cache
under a digest of its content. A run works with that copy, so that nobody can change it meanwhile.
docs/fixes.md says what is in such a directory.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.config import config_file
from pipeline.errors import UsageError
from pipeline.files import bounded, schema
from pipeline.fixes import fixes
from pipeline.fixes.fixes import Fix
from pipeline.host.cache import Cache, digest
from pipeline.model import Verdict

KIND = "own-fixes"
"""The kind of these cache entries."""
ENTRIES = 200
"""Files and directories of one fix."""
HINT = "docs/fixes.md says what belongs in the directory of a fix"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_REPORTED = re.compile(r'report\(\s*"([^"]+)"')


def read(directory: Path, cache: Cache, *, configured: bool = False) -> Fix:
    """Return the fix in a directory; it is then in the cache.

    Raises UsageError if it is not complete and sound, and, if it was not given for this run but
    ``configured``, if somebody else can write to one of its files.
    """
    where = directory.absolute()
    name = where.name
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a fix cannot be called {name[:60]!r}",
            details="Its directory has its name: lower-case letters, digits and hyphens.",
            hint="rename the directory",
        )
    files = _files(where, configured)

    def make(part: Path) -> None:
        for path, data in files.items():
            (part / name / path).parent.mkdir(parents=True, exist_ok=True)
            (part / name / path).write_bytes(data)

    found = _checked(where, files)
    parts = [part for path in sorted(files) for part in (path, files[path])]
    kept = cache.entry(KIND, digest(name, *parts), make) / name
    return dataclasses.replace(found, directory=kept, own=True)


def known(cache: Cache, configured: Sequence[Path], given: Sequence[Path] = ()) -> tuple[Fix, ...]:
    """Return the project's fixes and the user's own, in the order in which they are applied.

    Raises UsageError if one cannot be read, or two have the same name.
    """
    own = [
        *(read(path, cache, configured=True) for path in configured),
        *(read(path, cache) for path in given),
    ]
    found = (*fixes.all_fixes(), *own)
    names = [fix.name for fix in found]
    for fix in own:
        if names.count(fix.name) > 1:
            raise UsageError(
                f"two fixes are called {fix.name}", hint="rename the directory of one of them"
            )
        for other in fix.behind:
            if other not in names:
                raise wrong(fix.name, f"[smoke] behind: there is no fix {other}")
    return found


def wrong(name: str, what: str, details: str = "") -> UsageError:
    """Return the error for a fix of the user's own that is not sound."""
    return UsageError(f"the fix {name}: {what}", details=details, hint=HINT)


def _files(directory: Path, configured: bool) -> dict[str, bytes]:
    """Return the files of a directory, by their paths in it."""
    found: dict[str, bytes] = {}
    left, waiting, entries = bounded.LARGE, [directory], 0
    try:
        while waiting:
            for path in sorted(waiting.pop().iterdir()):
                entries += 1
                if entries > ENTRIES or left < 0:
                    raise wrong(directory.name, f"its directory has more than {ENTRIES} files")
                if path.is_symlink():
                    raise wrong(directory.name, f"{path} is a symbolic link")
                if path.is_dir():
                    waiting.append(path)
                    continue
                data = (
                    config_file.content(path, HINT)
                    if configured
                    else bounded.read(path, bounded.SMALL, follow=False)
                )
                left -= len(data)
                found[str(path.relative_to(directory))] = data
    except OSError as e:
        which = f"{e.filename}: " if str(e.filename) != str(directory) else ""
        raise UsageError(
            f"the fix {directory} cannot be read: {which}{e.strerror}", hint=HINT
        ) from e
    return found


def _checked(directory: Path, files: Mapping[str, bytes]) -> Fix:
    name = directory.name
    for file in ("fix.toml", "diagnose.cocci", "fix.cocci"):
        if file not in files:
            raise wrong(name, f"its directory has no {file}")
    try:
        values = tomllib.loads(files["fix.toml"].decode("utf-8"))
        schema.hold(values, __package__, "fix.schema.json")
    except schema.Wrong as e:
        known = f"The keys are {', '.join(e.keys)}." if e.keys else ""
        raise wrong(name, f"fix.toml: {e}", known) from e
    except (ValueError, RecursionError) as e:
        raise wrong(name, "fix.toml is not TOML", str(e)) from e
    try:
        fix = fixes.parse(values, directory)
    except (ValueError, KeyError) as e:
        raise wrong(name, f"fix.toml: [shapes]: {e}") from e
    _check_patterns(fix)
    _check_shapes(fix, files["diagnose.cocci"].decode("utf-8", "replace"))
    if not any(f"sample/{file}" in files for file in fix.files):
        raise wrong(name, "sample/ has none of the files that fix.toml names under files")
    for case in fix.cases:
        if f"objects/{case['object']}" not in files:
            missing = f"there is no objects/{case['object']}"
            raise wrong(name, f"the smoke case {case['name']}: {missing}")
    return fix


def _check_patterns(fix: Fix) -> None:
    """Raise UsageError if a regular expression of a fix is none."""
    counted = [*fix.mentions.values()]
    for shape in fix.shapes.values():
        counted += [shape.mentions, *shape.also.values()]
    switch = [fix.requires.switched_off] if fix.requires else []
    mentioned = [what for each in counted for what in each if not what.isidentifier()]
    for pattern in (*fix.evidence, *fix.symptoms, *switch, *mentioned):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as e:
            raise wrong(fix.name, f"{pattern!r} is not a regular expression: {e}") from e
    for pattern in fix.evidence:
        if re.search(pattern, ""):
            raise wrong(fix.name, f"evidence: {pattern!r} is in every code")


def _check_shapes(fix: Fix, cocci: str) -> None:
    """Raise UsageError unless the reported shapes are those that fix.toml explains."""
    reported = set(_REPORTED.findall(cocci))
    if "defined" not in reported:
        raise wrong(
            fix.name, 'diagnose.cocci does not report("defined", …), so it understands nothing'
        )
    for shape in sorted(reported ^ {*fix.shapes, "defined"}):
        where = "diagnose.cocci" if shape in fix.shapes else "[shapes] in fix.toml"
        raise wrong(fix.name, f"{where} does not have the shape {shape}")
    verdicts = {shape.verdict for shape in fix.shapes.values()}
    for verdict in (Verdict.NEEDED, Verdict.FIXED):
        if verdict not in verdicts:
            raise wrong(fix.name, f"no shape has the verdict {verdict}")
