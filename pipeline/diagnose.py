"""Stage: does this source tree have the defects?

Pure but for running Coccinelle: a tree in, findings out. A function counts as understood
only if Coccinelle and a plain reading of the text agree on where it is defined, if exactly
one known shape was found in it, and if the words that matter stand in it as often as that
shape says. Everything else is ``unknown``: no guess is ever built.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822, PkgRelation
from debian.debian_support import Version

from pipeline import command, csource
from pipeline.errors import DiagnosisRefused
from pipeline.fixes import Fix, Requires
from pipeline.model import Finding, Site, Verdict
from pipeline.progress import QUIET, Stage

LOADERS = ("tc/tc_bpf.c", "lib/bpf.c", "lib/bpf_legacy.c")
"""Where iproute2's loader of BPF objects was: v4.0-4.9, v4.10-5.10, v5.11 on (FACTS)."""

SPATCH_SECONDS = 120.0
FILE_BYTES = 4 << 20
"""A source file of iproute2 is at most 150 kB; a larger one is not read."""


@dataclass(frozen=True, kw_only=True)
class _Match:
    shape: str
    function: str
    file: str
    line: int


def diagnose(
    tree: Path,
    fixes: Sequence[Fix],
    *,
    libraries: dict[str, str] | None = None,
    stage: Stage = QUIET,
) -> tuple[Finding, ...]:
    """Return the finding of each fix on a source tree (patches applied).

    ``libraries`` maps a build dependency to the version that the package would be built
    with, where that is known. Raises DiagnosisRefused if the tree holds no loader at all.
    """
    if not any((tree / f).is_file() for f in LOADERS):
        raise DiagnosisRefused(
            f"{tree} holds no BPF loader of iproute2",
            details=f"None of these files is there: {', '.join(LOADERS)}",
            hint="name the top folder of an unpacked iproute2 source, v4.0 or later",
        )
    with ThreadPoolExecutor() as pool:
        findings = tuple(pool.map(lambda fix: _finding(tree, fix, libraries or {}), fixes))
    for finding in findings:
        stage.note(f"{finding.fix}: {finding.verdict}")
    return findings


def refuse_unknown(findings: Sequence[Finding]) -> None:
    """Raise DiagnosisRefused with the places and their text if any verdict is unknown."""
    unknown = [
        f"{finding.fix}: {site.function} ({site.file or 'nowhere'}:{site.line}): {site.reason}"
        + (f"\n{site.text}" if site.text else "")
        for finding in findings
        for site in finding.sites
        if site.verdict is Verdict.UNKNOWN
    ]
    if unknown:
        raise DiagnosisRefused(
            "the loader is in a shape that is not known",
            details="\n".join(unknown),
            hint="nothing is built on a guess; please report this source, its shape can be added",
        )


def _finding(tree: Path, fix: Fix, libraries: dict[str, str]) -> Finding:
    reason = _cannot_have(tree, fix.requires, libraries) if fix.requires else ""
    if reason:
        sites = [_absent(function, reason) for function in fix.functions]
    else:
        matches = _matches(tree, fix)
        sites = [s for function in fix.functions for s in _sites(tree, fix, function, matches)]
    verdicts = {site.verdict for site in sites}
    order = (Verdict.UNKNOWN, Verdict.NEEDED, Verdict.FIXED, Verdict.ABSENT)
    return Finding(
        fix=fix.name,
        verdict=next(v for v in order if v in verdicts),
        sites=tuple(sites),
        half={Verdict.NEEDED, Verdict.FIXED} <= verdicts,
    )


def _absent(function: str, reason: str) -> Site:
    return Site(function=function, file="", line=0, verdict=Verdict.ABSENT, reason=reason)


def _cannot_have(tree: Path, requires: Requires, libraries: dict[str, str]) -> str:
    """Return why the defect cannot be in this package whatever its code, or nothing."""
    package = requires.build_depends
    control = tree / "debian/control"
    if control.is_file():
        # Only the first paragraph of debian/control is about the source.
        source = Deb822(control.read_text("utf-8", "replace").strip().split("\n\n")[0])
        fields = ("Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep")
        names = {
            alternative["name"]
            for field in fields
            if source.get(field, "").strip(", \n")
            for relation in PkgRelation.parse_relations(source[field].strip(", \n"))
            for alternative in relation
        }
        if package not in names:
            return f"not built with it: {package} is no build dependency"
    version = libraries.get(package)
    if version:
        upstream = Version(version).upstream_version or ""
        if Version(upstream) < Version(requires.since):
            return f"built with {package} {upstream}, which is older than {requires.since}"
    return ""


def _matches(tree: Path, fix: Fix) -> list[_Match]:
    """Run the fix's diagnose.cocci over those of its files that the tree has."""
    files = [f for f in fix.files if (tree / f).is_file()]
    if not files:
        return []
    done = command.run(
        ["spatch", "--very-quiet", "--no-show-diff", "--sp-file", fix.diagnose_cocci, *files],
        cwd=tree,
        timeout=SPATCH_SECONDS,
        error=DiagnosisRefused,
        brief=f"Coccinelle could not read the source for {fix.name}",
        hint="respin doctor says whether coccinelle is installed as it should be",
    )
    matches = []
    for line in done.text.splitlines():
        fields = line.split("\t")
        if len(fields) == 5 and fields[0] == "respin" and fields[4].isdecimal():
            matches.append(
                _Match(shape=fields[1], function=fields[2], file=fields[3], line=int(fields[4]))
            )
    return matches


def _read(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > FILE_BYTES:
        return ""
    return csource.code_only(path.read_text("utf-8", "replace"))


def _sites(tree: Path, fix: Fix, function: str, matches: Sequence[_Match]) -> list[Site]:
    mine = [m for m in matches if m.function == function]
    sites = []
    for path in _sources(tree):
        file = str(path.relative_to(tree))
        code = _read(path)
        for line, text in csource.definitions(code, function):
            inside = range(line, line + text.count("\n") + 1)
            here = [m for m in mine if m.file == file and m.line in inside]
            original = path.read_text("utf-8", "replace").split("\n")
            sites.append(
                _judge(fix, function, file, line, text, here, original[line - 1 : inside.stop - 1])
            )
    return sites or [_nowhere(tree, fix, function)]


def _sources(tree: Path) -> list[Path]:
    """Return the C files of the tree's own code, where a function could be hidden."""
    return sorted(p for d in ("lib", "tc", "ip", "include") for p in (tree / d).glob("*.[ch]"))


def _judge(
    fix: Fix,
    function: str,
    file: str,
    line: int,
    text: str,
    here: Sequence[_Match],
    original: Sequence[str],
) -> Site:
    """Return the verdict on one definition of a function."""

    def site(verdict: Verdict, reason: str, at: int = line) -> Site:
        shown = "\n".join(original) if verdict is Verdict.UNKNOWN else ""
        return Site(
            function=function, file=file, line=at, verdict=verdict, reason=reason, text=shown
        )

    if not any(m.shape == "defined" for m in here):
        return site(Verdict.UNKNOWN, "Coccinelle could not read this function")
    fitting = {
        m.shape: m
        for m in here
        if m.shape in fix.shapes
        and all(csource.mentions(text, w) == n for w, n in fix.shapes[m.shape].mentions.items())
    }
    if len(fitting) != 1 or sum(m.shape in fitting for m in here) != 1:
        return site(Verdict.UNKNOWN, "this function has none of the shapes that are known")
    shape = fix.shapes[next(iter(fitting))]
    return site(shape.verdict, shape.reason, at=next(iter(fitting.values())).line)


def _nowhere(tree: Path, fix: Fix, function: str) -> Site:
    """Return the verdict on a function that no file defines."""
    words = (function, *fix.evidence)
    for path in _sources(tree):
        code = _read(path)
        for word in words:
            at = code.find(word)
            elsewhere = any(csource.definitions(code, f) for f in fix.functions)
            if at >= 0 and not elsewhere:
                return Site(
                    function=function,
                    file=str(path.relative_to(tree)),
                    line=code.count("\n", 0, at) + 1,
                    verdict=Verdict.UNKNOWN,
                    reason=f"no definition of {function} was found, but {word} stands here",
                    text=code[max(0, at - 200) : at + 200],
                )
    return _absent(function, f"no file of this source defines {function}")
