# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The truth by running: the functions, before and after the fix, on real ELF objects.

They are compiled against libelf (harness.c) and have to count, verify and name exactly the
maps: global symbols of section ``maps`` of type STT_NOTYPE or STT_OBJECT.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.loaderforms import FORMS, IS_FIXED, Known
from support.loaderfunctions import FUNCTIONS
from support.variants import ROWS, Variant, tree

from pipeline.fixes import diagnose, fixes, patch
from pipeline.model import Verdict

NOTYPE, OBJECT, FUNC, SECTION = 0, 1, 2, 3
LOCAL, GLOBAL, WEAK = 0, 1, 2
MAPS, OTHER = 1, 2
MEMBERS = {24: 6, 28: 7, 36: 9}
"""struct bpf_elf_map in v4.5, v4.6-4.12, v4.13 on: bytes -> members of four bytes."""


@dataclass(frozen=True)
class Symbol:
    """A symbol of an object; ``at`` counts maps."""

    name: str
    type: int
    bind: int = GLOBAL
    section: int = MAPS
    at: int = 0


def _others(after: int) -> list[Symbol]:
    """Symbols that no map has, some of them where maps are."""
    return [
        Symbol("section", SECTION, LOCAL),
        Symbol("static_map", OBJECT, LOCAL, at=after),
        Symbol("static_old_map", NOTYPE, LOCAL, at=after),
        Symbol("weak_map", OBJECT, WEAK, at=after),
        Symbol("function_in_maps", FUNC, at=after),
        Symbol("function", FUNC, section=OTHER),
        Symbol("license", OBJECT, section=OTHER),
        Symbol("old_license", NOTYPE, section=OTHER),
    ]


def _maps(*types: int) -> list[Symbol]:
    return [Symbol(f"map{n}", kind, at=n) for n, kind in enumerate(types)]


OBJECTS: dict[str, list[Symbol]] = {
    "llvm7": _maps(NOTYPE, NOTYPE, NOTYPE),
    "llvm8": _maps(OBJECT, OBJECT, OBJECT),
    "mixed": _maps(OBJECT, NOTYPE, OBJECT),
    "one": _maps(OBJECT),
    "among-others": _others(1) + _maps(NOTYPE, OBJECT),
    "between-others": _others(0) + _maps(OBJECT, OBJECT),
    "none": _others(0),
    "gap": [Symbol("map0", OBJECT, at=0), Symbol("map2", OBJECT, at=2)],
    "backwards": list(reversed(_maps(OBJECT, OBJECT, NOTYPE))),
}


def _count(symbols: list[Symbol]) -> int:
    return 3 if symbols == OBJECTS["gap"] else max(1, sum(s.name[:3] == "map" for s in symbols))


def _expected(symbols: list[Symbol], types: set[int]) -> list[str]:
    """Return what has to be printed by a loader that takes maps of these types."""
    maps = [s for s in symbols if s.bind == GLOBAL and s.section == MAPS and s.type in types]
    names = {s.at: s.name for s in maps}
    end = _count(symbols)
    # As written upstream: an offset is missed only if the last symbol is a map's.
    missed = bool(maps) and maps[-1] is symbols[-1] and any(n not in names for n in range(end))
    found = [names.get(n, "-") for n in range(end)]
    return [str(len(maps)), "-1" if missed else "0", *found]


def _run(trees: Mapping[str, str], directory: Path, size: int) -> dict[str, dict[str, list[str]]]:
    """Compile named sources into one harness; return variant -> object -> words printed."""
    directory.mkdir()
    table, rows = [], []
    for name, text in trees.items():
        (directory / f"{name}.c").write_bytes(text.encode())
        table += [f"#define {f} {f}_{name}" for f in FUNCTIONS]
        table += [f'#include "{name}.c"', *(f"#undef {f}" for f in FUNCTIONS)]
        rows.append(f'{{ "{name}", ' + ", ".join(f"{f}_{name}" for f in FUNCTIONS) + " },")
    table += ["static const struct variant variants[] = {", *rows, "{ 0 } };", ""]
    (directory / "table.h").write_text("\n".join(table))
    harness = Path(__file__).with_name("harness.c")
    # The previous symbol of 7a04dd84's order is not initialised at first.
    options = ["-w", f"-I{directory}", f"-DMAP_MEMBERS={MEMBERS[size]}"]
    options += ["-ftrivial-auto-var-init=zero", "-fsanitize=address,undefined"]
    subprocess.run(["gcc", *options, harness, "-o", directory / "run", "-lelf"], check=True)
    lines = []
    for name, symbols in OBJECTS.items():
        lines.append(f"object {name} {size} {_count(symbols) * size}")
        for s in symbols:
            lines.append(f"symbol {s.name} {s.type} {s.bind} {s.section} {s.at * size}")
        lines.append("run")
    done = subprocess.run(
        [directory / "run"],
        input="\n".join(lines),
        text=True,
        cwd=directory,
        capture_output=True,
        check=True,
    )
    found: dict[str, dict[str, list[str]]] = {}
    for line in done.stdout.splitlines():
        variant, of, *words = line.split(" ")
        found.setdefault(variant, {})[of] = words
    return found


def _sample() -> dict[str, tuple[Known, Variant]]:
    """Return the forms that have to be recognised, in the two rows with three functions."""
    found = {}
    for name, known in FORMS.items():
        for row in ("v4.10", "v5.11"):
            if known.must:
                variant = tree(name, row, dict.fromkeys(FUNCTIONS, known))
                label = f"{name}_{row}".replace("-", "_").replace(".", "_")
                found[label] = (known, variant)
    return found


@pytest.mark.needs("gcc")
@pytest.mark.needs("spatch")
def test_they_count_verify_and_name(tmp_path: Path, figure: Callable[[str], None]) -> None:
    fix = fixes.choose(["stt-object"])[0]
    sample = _sample()
    trees = {n: v.write(tmp_path / n) for n, (_, v) in sample.items()}
    text = {
        n: next(v.files[f] for f in ROWS.values() if f in v.files) for n, (_, v) in sample.items()
    }
    found = dict(zip(trees, diagnose.diagnose_all(list(trees.values()), [fix]), strict=True))
    needed = [n for n, row in found.items() if row[0].verdict is Verdict.NEEDED]
    patch.apply_fix_to_all([trees[n] for n in needed], fix)
    mended = {
        n: (trees[n] / next(f for f in ROWS.values() if (trees[n] / f).is_file())).read_text()
        for n in needed
    }
    right = {name: _expected(symbols, {NOTYPE, OBJECT}) for name, symbols in OBJECTS.items()}
    old = {name: _expected(symbols, {NOTYPE}) for name, symbols in OBJECTS.items()}
    assert right != old
    for size in MEMBERS:
        before = _run(text, tmp_path / f"before{size}", size)
        after = _run(mended, tmp_path / f"after{size}", size)
        for name, (known, _) in sample.items():
            if known.truth == IS_FIXED:
                assert before[name] == right, name
                assert name not in after
            else:
                assert before[name] != right, name
                assert name.startswith("early") or before[name] == old, name
                assert after[name] == right, name
    figure(
        f"stt-object: {len(sample)} variants run on {len(OBJECTS)} objects, map sizes "
        f"{', '.join(map(str, MEMBERS))}: {len(needed)} wrong before the fix and right after it, "
        f"{len(sample) - len(needed)} right as they are"
    )
