# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several hundred source trees, each with its truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from support.loaderforms import FORMS, IS_FIXED, NEEDED, Known
from support.loaderfunctions import EARLY, FIXED, FUNCTIONS, RELEASED, Form, render
from support.loaderstyles import STYLES

ROWS = {"v4.5": "tc/tc_bpf.c", "v4.10": "lib/bpf.c", "v5.11": "lib/bpf_legacy.c"}
SIZES = {"v4.5": ("", "pinning"), "v4.10": ("pinning", "inner"), "v5.11": ("inner",)}
"""struct bpf_elf_map grew: 24 bytes in v4.5, 28 up to v4.12, 36 from v4.13 on (docs/facts.md)."""
SIMPLE = {NEEDED: RELEASED, "early": EARLY, IS_FIXED: FIXED}


@dataclass(frozen=True)
class Variant:
    """A source tree, and the right verdicts besides ``unknown``."""

    name: str
    files: Mapping[str, str]
    truth: Mapping[str, frozenset[str]]
    """Function -> verdicts that are right."""
    must: frozenset[str] = frozenset()
    """Functions whose verdict must not be ``unknown``."""

    def write(self, directory: Path) -> Path:
        """Write the tree into a directory and return it."""
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return directory


def _header(size: str) -> str:
    members = ["type", "size_key", "size_value", "max_elem", "flags", "id"]
    members += {"": [], "pinning": ["pinning"], "inner": ["pinning", "inner_id", "inner_idx"]}[size]
    return "struct bpf_elf_map {\n" + "".join(f"\t__u32 {m};\n" for m in members) + "};\n"


def tree(name: str, row: str, forms: Mapping[str, Known], size: str = "") -> Variant:
    """Return the tree of a row whose functions have these forms."""
    functions = [f for f in FUNCTIONS if row != "v4.5" or f == "bpf_map_fetch_name"]
    order = ["bpf_map_fetch_name", "bpf_map_num_sym", "bpf_map_verify_all_offs"]
    parts = [render(forms[f].form, f, row) for f in order if f in functions]
    head = f"/* Written for this test: {row}. */\n\n#include <gelf.h>\n\n"
    # A form with code outside its function makes all of them unknown.
    strays = [f for f in functions if forms[f].form.before or forms[f].form.wrap]
    alone = all(forms[f].must for f in functions)
    truth = {f: frozenset({forms[f].truth} - {""}) for f in functions}
    for function in set(FUNCTIONS) - set(functions):
        truth[function] = frozenset({"absent"})
    return Variant(
        name=f"{row}/{name}",
        files={
            ROWS[row]: head + "\n".join(parts),
            "include/bpf_elf.h": _header(size or SIZES[row][-1]),
        },
        truth=truth,
        must=frozenset(f for f in functions if forms[f].must and (alone or not strays)),
    )


def _same(known: Known) -> dict[str, Known]:
    return dict.fromkeys(FUNCTIONS, known)


def _simple(form: Form) -> Known:
    return Known(form=form, truth=IS_FIXED if form is FIXED else NEEDED, must=True)


def of_symbols() -> Iterator[Variant]:
    """Yield the variants of the functions that look at symbols."""
    for row in ROWS:
        for size in SIZES[row]:
            for kind, form in SIMPLE.items():
                yield tree(f"released-{kind}-{size or 'plain'}", row, _same(_simple(form)), size)
    # These are half-fixed, in every combination.
    for row in ("v4.10", "v5.11"):
        for kinds in itertools.product(SIMPLE, repeat=3):
            each = {f: _simple(SIMPLE[k]) for f, k in zip(FUNCTIONS, kinds, strict=True)}
            yield tree(f"each-its-own-{'-'.join(kinds)}", row, each)
    # A form is in all functions, or in one of them, where the others are right or wrong.
    for name, known in FORMS.items():
        for row in ROWS if known.must else ("v4.10",):
            yield tree(f"all-{name}", row, _same(known))
        for number, function in enumerate(FUNCTIONS):
            others = _simple(FIXED if number % 2 else RELEASED)
            yield tree(f"{function}-{name}", "v4.10", {**_same(others), function: known})
    # These differ in style.
    for name, style in STYLES.items():
        for kind, form in SIMPLE.items():
            known = Known(form=replace(form, style=style), truth=_simple(form).truth)
            for row in ("v4.5", "v4.10") if kind == NEEDED else ("v5.11",):
                yield tree(f"{name}-{kind}", row, _same(known))
    yield from _elsewhere()


def _elsewhere() -> Iterator[Variant]:
    """Yield trees whose functions are not where they should be."""
    released = tree("released", "v4.10", _same(_simple(RELEASED)))
    fixed = tree("fixed", "v4.10", _same(_simple(FIXED)))
    text = {NEEDED: released.files["lib/bpf.c"], IS_FIXED: fixed.files["lib/bpf.c"]}

    def made(name: str, files: Mapping[str, str], *right: str) -> Variant:
        truth = dict.fromkeys(FUNCTIONS, frozenset(right))
        return Variant(f"elsewhere/{name}", files, truth)

    for kind, code in text.items():
        for function in FUNCTIONS:
            # The renamed function is the same under another name.
            renamed = code.replace(function, f"{function}_of_elf")
            yield made(f"renamed-{function}-{kind}", {"lib/bpf.c": renamed}, kind)
        yield made(f"another-file-{kind}", {"lib/bpf.c": "\n", "lib/bpf_elf.c": code}, kind)
        yield made(f"included-{kind}", {"lib/bpf.c": '#include "m.h"\n', "lib/m.h": code}, kind)
        yield made(f"two-files-{kind}", {"lib/bpf.c": code, "lib/bpf_legacy.c": text[NEEDED]})
        yield made(
            f"commented-out-{kind}",
            {"lib/bpf.c": f"/*{code.replace('/*', '').replace('*/', '')}*/\n"},
        )
        yield made(
            f"in-a-macro-{kind}", {"lib/bpf.c": "#define ALL \\\n" + code.replace("\n", "\\\n")}
        )
        words = code.replace("STT_NOTYPE", "@").replace("STT_OBJECT", "STT_NOTYPE")
        yield made(
            f"words-swapped-{kind}",
            {"lib/bpf.c": words.replace("@", "STT_OBJECT")},
            *([kind] if kind == IS_FIXED else []),
        )
        header = {"lib/bpf.c": code, "include/utils.h": "#define STT_NOTYPE 1\n"}
        yield made(f"word-redefined-in-a-header-{kind}", header)
        header = {"lib/bpf.c": code, "include/uapi/linux/x.h": "#define GELF_ST_TYPE(x) 0\n"}
        yield made(f"call-redefined-in-a-header-{kind}", header)
        yield made(f"cut-off-{kind}", {"lib/bpf.c": code[: len(code) // 2]}, kind)
        yield made(
            f"helper-beside-{kind}", {"lib/bpf.c": code, "lib/x.c": "int y = STT_OBJECT;\n"}, kind
        )
    nothing = tree("nothing", "v4.5", _same(_simple(RELEASED))).files
    yield Variant(
        "elsewhere/v4.0-no-function",
        {**nothing, "tc/tc_bpf.c": "int bpf_parse(void)\n{\n\treturn 0;\n}\n"},
        dict.fromkeys(FUNCTIONS, frozenset({"absent"})),
        frozenset(FUNCTIONS),
    )
