# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage diagnose: does this source tree have the defects?

It takes a tree and returns findings; its only side effect is to run Coccinelle. A function counts
as understood only if Coccinelle and a plain reading of the text agree on where it is defined, if
exactly one known shape was found in it, and if it contains only known words, the significant ones
as often as that shape says. Everything else is ``unknown``: respin never builds on a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from debian.debian_support import Version

from pipeline.errors import DiagnosisRefused
from pipeline.fixes import c_source, coccinelle
from pipeline.fixes.build_depends import build_dependency
from pipeline.fixes.c_source import Code, read
from pipeline.fixes.coccinelle import Match
from pipeline.fixes.fixes import Fix, Requires
from pipeline.host import command
from pipeline.host.progress import QUIET, Stage
from pipeline.model import Finding, Site, Verdict

LOADERS = ("tc/tc_bpf.c", "lib/bpf.c", "lib/bpf_legacy.c")
"""Where iproute2 keeps its BPF loader: v4.0-4.9, v4.10-5.10, v5.11 on (docs/facts.md)."""


def diagnose(
    tree: Path,
    fixes: Sequence[Fix],
    *,
    libraries: Mapping[str, str] | None = None,
    stage: Stage = QUIET,
) -> tuple[Finding, ...]:
    """Return the finding of each fix on a source tree (patches applied).

    ``libraries`` maps a build dependency to the version that the package would be built with, if it
    is known; without it, a verdict that depends on it has a condition. Raises DiagnosisRefused if
    the tree has no loader at all.
    """
    findings = diagnose_all([tree], fixes, libraries=libraries)[0]
    for finding in findings:
        stage.note(f"{finding.fix}: {finding.verdict}")
    return findings


def diagnose_all(
    trees: Sequence[Path], fixes: Sequence[Fix], *, libraries: Mapping[str, str] | None = None
) -> list[tuple[Finding, ...]]:
    """Diagnose many trees as ``diagnose`` would each of them, at a fraction of the cost."""
    for tree in trees:
        require_loader(tree)
    rows: list[list[Finding]] = [[] for _ in trees]
    with command.threads(len(fixes) or 1) as pool:
        reports = [pool.submit(_report, trees, fix) for fix in fixes]
        codes = [Code(tree) for tree in trees]
        for fix, report in zip(fixes, reports, strict=True):
            for row, code, found in zip(rows, codes, report.result(), strict=True):
                row.append(_finding(code, fix, found, libraries or {}))
    return [tuple(row) for row in rows]


def require_loader(tree: Path) -> None:
    """Raise DiagnosisRefused if a tree has none of the files that iproute2's loader was ever in."""
    if not any((tree / f).is_file() for f in LOADERS):
        raise DiagnosisRefused(
            f"{tree} has no BPF loader of iproute2",
            details=f"None of these files exists: {', '.join(LOADERS)}",
            hint="give the top directory of an unpacked iproute2 source, v4.0 or later",
        )


def _report(trees: Sequence[Path], fix: Fix) -> list[list[Match]]:
    brief = f"Coccinelle could not read the source for {fix.name}"
    return coccinelle.report(
        trees, fix.diagnose_cocci, fix.files, error=DiagnosisRefused, brief=brief
    )


def refuse_unknown(findings: Sequence[Finding]) -> None:
    """Raise DiagnosisRefused with places and reasons if any verdict is unknown."""
    unknown = [
        f"{finding.fix}: {site.function} ({site.file or 'nowhere'}:{site.line}): {site.reason}"
        + (f"\n{site.text}" if site.text else "")
        for finding in findings
        for site in finding.sites
        if site.verdict is Verdict.UNKNOWN
    ]
    if unknown:
        raise DiagnosisRefused(
            "respin does not recognize the BPF loader in this source",
            details="\n".join(unknown),
            hint="respin does not build on a guess; please report this source so that support can "
            "be added",
        )


def needed_fixes(fixes: Sequence[Fix], findings: Sequence[Finding]) -> tuple[Fix, ...]:
    """Return the fixes that a source needs; raise DiagnosisRefused if a verdict is unknown."""
    refuse_unknown(findings)
    needed = {f.fix for f in findings if f.verdict is Verdict.NEEDED}
    return tuple(fix for fix in fixes if fix.name in needed)


def _finding(
    code: Code, fix: Fix, matches: Sequence[Match], libraries: Mapping[str, str]
) -> Finding:
    verdict, reason, file = _by_library(code.tree, fix.requires, libraries)
    if verdict:
        sites = [
            Site(
                function=function,
                file=file,
                line=1 if file else 0,
                verdict=verdict,
                reason=reason,
                text=read(code.tree / file)[:2000] if file else "",
            )
            for function in fix.functions
        ]
    else:
        sites = _strayed(code, fix) or [
            site
            for function in fix.functions
            for site in _sites(code, fix, function, [m for m in matches if m.function == function])
        ]
    verdicts = {site.verdict for site in sites}
    order = (Verdict.UNKNOWN, Verdict.NEEDED, Verdict.FIXED, Verdict.ABSENT)
    verdict = next(v for v in order if v in verdicts)
    return Finding(
        fix=fix.name,
        verdict=verdict,
        sites=tuple(sites),
        half={Verdict.NEEDED, Verdict.FIXED} <= verdicts,
        condition=_condition(fix.requires, libraries) if verdict is Verdict.NEEDED else "",
    )


def _condition(requires: Requires | None, libraries: Mapping[str, str]) -> str:
    """Return the condition under which a fix is needed; empty if nothing is left open."""
    if requires is None or requires.build_depends in libraries:
        return ""
    return f"if it is built with {requires.build_depends} {requires.since} or later"


def _by_library(
    tree: Path, requires: Requires | None, libraries: Mapping[str, str]
) -> tuple[Verdict | None, str, str]:
    """Return the verdict, reason and file, if there is a verdict whatever the code says."""
    if requires is None:
        return None, "", ""
    package = requires.build_depends
    built_with, why = build_dependency(tree / "debian", package)
    if built_with is False:
        return Verdict.ABSENT, f"the package is not built with it: {why}", ""
    version = libraries.get(package)
    if version:
        upstream = Version(version).upstream_version or ""
        if Version(upstream) < Version(requires.since):
            why = f"built with {package} {upstream}, which is older than {requires.since}"
            return Verdict.ABSENT, why, ""
    file = "debian/control"
    switch = requires.switched_off and re.search(requires.switched_off, read(tree / "debian/rules"))
    if switch:
        file, why = "debian/rules", f"debian/rules has {switch[0].strip()!r}"
    if built_with is None or switch:
        why = f"it is not certain whether the package is built with {package}: {why}"
        return Verdict.UNKNOWN, why, file
    return None, "", ""


def _strayed(code: Code, fix: Fix) -> list[Site]:
    """Return ``unknown`` for every function if code of theirs occurs elsewhere."""
    evidence = re.compile("|".join(f"(?:{e})" for e in fix.evidence))
    for file, text in code.files.items():
        if not evidence.search(text):
            continue
        rest = text
        for function in fix.functions:
            for _, own in c_source.definitions(text, function):
                rest = rest.replace(own, re.sub(r"[^\n]", " ", own))
        found = evidence.search(rest)
        if found:
            line = rest.count("\n", 0, found.end()) + 1
            return [
                Site(
                    function=function,
                    file=file,
                    line=line,
                    verdict=Verdict.UNKNOWN,
                    reason=f"{found[0].strip()} occurs outside the known functions",
                    text=code.original(file, max(1, line - 5), 10),
                )
                for function in fix.functions
            ]
    return []


def _sites(code: Code, fix: Fix, function: str, matches: Sequence[Match]) -> list[Site]:
    """Return the sites of a function: one, or one for each of several definitions."""
    found = code.definitions(function)
    if not found:
        return [_undefined(code, fix, function)]
    sites = []
    for file, line, text in found:
        lines = text.count("\n") + 1
        here = [m for m in matches if m.file == file and m.line in range(line, line + lines)]
        if len(found) > 1:
            verdict, reason, at = Verdict.UNKNOWN, "this function is defined more than once", line
        else:
            verdict, reason, at = _judge(code, fix, function, file, line, text, here)
        shown = code.original(file, line, lines) if verdict is Verdict.UNKNOWN else ""
        sites.append(
            Site(function=function, file=file, line=at, verdict=verdict, reason=reason, text=shown)
        )
    return sites


def _judge(
    code: Code,
    fix: Fix,
    function: str,
    file: str,
    line: int,
    text: str,
    here: Sequence[Match],
) -> tuple[Verdict, str, int]:
    """Return the verdict on a function's only definition, the reason, and the line."""
    if not any(m.shape == "defined" for m in here):
        return Verdict.UNKNOWN, "Coccinelle could not read this function", line
    counts = fix.mentions.get(function, {})
    fitting = {
        (m.shape, m.line): m
        for m in here
        if m.shape in fix.shapes
        and _counts(text, {**counts, **fix.shapes[m.shape].mentions}, m.names)
    }
    if len(fitting) != 1:
        return Verdict.UNKNOWN, "this function has none of the known shapes", line
    match = next(iter(fitting.values()))
    shape = fix.shapes[match.shape]
    words = c_source.words(text)
    directives = c_source.directives(text)
    strange = words - fix.words - set(match.names.values())
    if strange:
        return Verdict.UNKNOWN, f"this function contains unknown words: {_list(strange)}", line
    strange = set(directives) - fix.directives
    if strange:
        return (
            Verdict.UNKNOWN,
            f"parts of this function are compiled conditionally: {_list(strange)}",
            line,
        )
    told = words | {w for d in directives for w in re.findall(r"\w+", d)}
    strange = (code.redefined(file) & told) - fix.macros
    if strange:
        return Verdict.UNKNOWN, f"words in this function are macros here: {_list(strange)}", line
    for other, expected in shape.also.items():
        if not any(_counts(text, expected, {}) for _, _, text in code.definitions(other)):
            return Verdict.UNKNOWN, f"{other} is not what this function needs it to be", line
    return shape.verdict, shape.reason, match.line


def _counts(text: str, expected: Mapping[str, int], names: Mapping[str, str]) -> bool:
    """Return whether everything occurs in a function as often as it must."""
    return all(c_source.mentions(text, what, names) == times for what, times in expected.items())


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)[:8])


def _undefined(code: Code, fix: Fix, function: str) -> Site:
    """Return the verdict on a function that no file defines."""
    for file, functions in fix.has.items():
        if function in functions and (code.tree / file).is_file():
            return Site(
                function=function,
                file=file,
                line=1,
                verdict=Verdict.UNKNOWN,
                reason=f"{file} does not define {function}, but it does in every release",
                text=code.original(file, 1, 10),
            )
    for file, text in code.files.items():
        at = text.find(function)
        if at >= 0:
            line = text.count("\n", 0, at) + 1
            return Site(
                function=function,
                file=file,
                line=line,
                verdict=Verdict.UNKNOWN,
                reason=f"no definition of {function} was found, but its name occurs here",
                text=code.original(file, max(1, line - 5), 10),
            )
    reason = f"no file of this source defines {function}"
    return Site(function=function, file="", line=0, verdict=Verdict.ABSENT, reason=reason)
