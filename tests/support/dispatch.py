# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: E501 - a table, a form a line
"""Variants of bpf_do_load() and of the build dependencies, each with its truth.

The rest of the source is from the golden case of v6.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from support.variants import Variant

BASE = Path(__file__).parents[1] / "golden/fixes/v6.0-libbpf-program-names"
LEGACY, LOADER = "lib/bpf_legacy.c", "lib/bpf_libbpf.c"
OWN = (
    "cfg->prog_fd = bpf_obj_open(cfg->object, cfg->type,\n"
    "\t\t\t\t\t    cfg->section, cfg->ifindex,\n\t\t\t\t\t    cfg->verbose);"
)
LIBBPF = "return iproute2_load_libbpf(cfg);"
GUARDED = f"#ifdef HAVE_LIBBPF\n\t\t{LIBBPF}\n#endif\n\t\t{OWN}\n\t\treturn cfg->prog_fd;"
LOAD = "static int bpf_do_load(struct bpf_cfg_in *cfg)\n"
HAS_MAPS = "static bool bpf_has_maps(struct bpf_cfg_in *cfg)\n{\n\treturn look(cfg->object);\n}\n\n"


def _function(body: str, before: str = "", test: str = "cfg->mode == EBPF_OBJECT") -> str:
    body = body if body.startswith("#") else f"\t\t{body}"
    return f"{before}{LOAD}{{\n\tif ({test}) {{\n{body}\n\t}}\n\treturn 0;\n}}\n"


RELEASED = _function(GUARDED)

# name -> (text, truth besides `unknown`: verdicts with a bar between, has to be recognised)
FORMS: dict[str, tuple[str, str, bool]] = {
    "released": (RELEASED, "needed", True),
    "if-defined": (RELEASED.replace("#ifdef HAVE", "#if defined(HAVE").replace("BPF\n", "BPF)\n", 1), "needed", False),
    "unconditional": (_function(f"{LIBBPF}"), "needed", False),
    "unconditional-before-own": (
        RELEASED.replace("#ifdef HAVE_LIBBPF\n", "").replace("#endif\n", ""), "needed", True,
    ),
    "other-name": (RELEASED.replace("cfg", "c").replace("bpf_c_in", "bpf_cfg_in"), "needed", True),
    "sides-swapped": (_function(GUARDED, test="EBPF_OBJECT == cfg->mode"), "needed", False),
    "spaces": (RELEASED.replace("\t", "    ").replace("if (", "if("), "needed", True),
    "braces-below": (RELEASED.replace(") {\n", ")\n\t{\n"), "needed", True),
    "comments": (RELEASED.replace(LIBBPF, f"{LIBBPF} // not bpf_obj_open()"), "needed", True),
    "own-in-a-comment": (
        RELEASED.replace(f"\t\t{LIBBPF}", f"\t\t/* if (maps) return bpf_obj_open(); */\n\t\t{LIBBPF}"), "needed", True,
    ),
    "else": (RELEASED.replace("#endif\n", "#else\n").replace("prog_fd;\n", "prog_fd;\n#endif\n"), "needed", False),
    "ifndef": (
        _function(f"#ifndef HAVE_LIBBPF\n\t\t{OWN}\n\t\treturn cfg->prog_fd;\n#else\n\t\t{LIBBPF}\n#endif"), "needed", False,
    ),
    "through-a-variable": (
        _function(f"int ret = iproute2_load_libbpf(cfg);\n\n\t\treturn ret;\n\t\t{OWN}"), "needed", False,
    ),
    "early-return": (
        f"{LOAD}{{\n\tif (cfg->mode != EBPF_OBJECT)\n\t\treturn 0;\n\t{LIBBPF}\n}}\n", "needed", False,
    ),
    "switch": (f"{LOAD}{{\n\tswitch (cfg->mode) {{\n\tcase EBPF_OBJECT:\n\t\t{LIBBPF}\n\tdefault:\n\t\treturn 0;\n\t}}\n}}\n", "needed", False),
    "ternary": (f"{LOAD}{{\n\treturn cfg->mode == EBPF_OBJECT ? iproute2_load_libbpf(cfg) : 0;\n}}\n", "needed", False),
    "helper": (
        "static int bpf_load_object(struct bpf_cfg_in *cfg)\n{\n\treturn iproute2_load_libbpf(cfg);\n}\n\n"
        + _function("return bpf_load_object(cfg);"), "needed", False,
    ),
    "renamed": (RELEASED.replace("bpf_do_load", "bpf_do_load_object"), "needed", False),
    "macro": (
        "#define LOAD(c) iproute2_load_libbpf(c)\n" + RELEASED.replace(LIBBPF, "return LOAD(cfg);"), "needed", False,
    ),
    "guard-that-never-holds": (
        RELEASED.replace(LIBBPF, f"if (!cfg->object)\n\t\t\treturn bpf_obj_open(cfg);\n\t\t{LIBBPF}"), "needed", False,
    ),
    "while-before": (RELEASED.replace(LIBBPF, f"while (0)\n\t\t\treturn -1;\n\t\t{LIBBPF}"), "needed", False),
    "legacy-helper-stub": (
        RELEASED.replace(LIBBPF, f"if (iproute2_is_legacy_object(cfg))\n\t\t\treturn iproute2_load_legacy(cfg);\n\t\t{LIBBPF}")
        + "\nbool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg)\n{\n\treturn false;\n}\n"
        "int iproute2_load_legacy(struct bpf_cfg_in *cfg)\n{\n\treturn -1;\n}\n", "needed", False,
    ),
    # -- somebody else's choice: right, in no form that is known
    "guarded": (RELEASED.replace(LIBBPF, f"if (!bpf_has_maps(cfg))\n\t\t\t{LIBBPF}"), "fixed", False),
    "guarded-with-helper": (
        HAS_MAPS + RELEASED.replace(LIBBPF, f"if (!bpf_has_maps(cfg))\n\t\t\t{LIBBPF}"), "fixed", False,
    ),
    "own-first": (
        RELEASED.replace(LIBBPF, f"if (bpf_has_maps(cfg))\n\t\t\treturn bpf_obj_open(cfg->object);\n\t\t{LIBBPF}"), "fixed", False,
    ),
    "fall-back": (
        _function(f"int ret = iproute2_load_libbpf(cfg);\n\n\t\tif (ret >= 0)\n\t\t\treturn ret;\n\t\t{OWN}\n\t\treturn cfg->prog_fd;"), "fixed", False,
    ),
    "own-then-libbpf": (
        _function(f"{OWN}\n\t\tif (cfg->prog_fd >= 0)\n\t\t\treturn cfg->prog_fd;\n\t\t{LIBBPF}"), "fixed", False,
    ),
    "conditional-expression": (
        _function("return bpf_has_maps(cfg) ? bpf_obj_open(cfg->object) : iproute2_load_libbpf(cfg);"), "fixed", False,
    ),
    "goto": (
        RELEASED.replace(LIBBPF, f"if (bpf_has_maps(cfg))\n\t\t\tgoto own;\n\t\t{LIBBPF}\nown:"), "fixed", False,
    ),
    "while": (
        RELEASED.replace(LIBBPF, f"while (bpf_has_maps(cfg))\n\t\t\treturn bpf_obj_open(cfg->object);\n\t\t{LIBBPF}"), "fixed", False,
    ),
    "short-circuit": (
        _function(GUARDED, test="cfg->mode == EBPF_OBJECT && !bpf_has_maps(cfg)"), "fixed", False,
    ),
    # -- one loader only
    "own": (_function(f"{OWN}\n\t\treturn cfg->prog_fd;"), "absent", True),
    "libbpf-in-if-0": (RELEASED.replace("#ifdef HAVE_LIBBPF", "#if 0"), "absent", True),
    "libbpf-in-a-comment": (RELEASED.replace(LIBBPF, f"/* {LIBBPF} */"), "absent", True),
    "own-returns-first": (
        RELEASED.replace("#ifdef", f"{OWN}\n\t\treturn cfg->prog_fd;\n#ifdef", 1), "absent", False,
    ),
    "macro-undefined": ("#undef HAVE_LIBBPF\n" + RELEASED, "absent", False),
    "libbpf-redefined": (
        "#define iproute2_load_libbpf(c) bpf_obj_open((c)->object)\n" + RELEASED, "absent", False,
    ),
    "other-macro": (RELEASED.replace("HAVE_LIBBPF", "WANT_LIBBPF"), "", False),
    "two-definitions": (f"#ifdef HAVE_LIBBPF\n{RELEASED}#else\n{_function(OWN)}#endif\n", "", False),
}  # fmt: skip

OPENS = "obj = bpf_object__open_file(cfg->object, &open_opts);"
_OPENER = "static struct bpf_object *open_bpf_object(struct bpf_cfg_in *cfg, void *opts)\n{{\n\treturn {};\n}}\n\n"

# The same for load_bpf_object() in lib/bpf_libbpf.c, with what stands before it; None is what the fix makes of all.
OPENERS: dict[str, tuple[tuple[str, str] | None, str, bool]] = {
    "fixed-by-us": (None, "fixed", True),
    "opens-memory": ((OPENS.replace("file(cfg->object", "mem(cfg->image, cfg->size"), ""), "fixed", False),
    "opens-by-a-helper": (("obj = open_object(cfg);", ""), "needed", False),
    "opener-stub": (("obj = open_bpf_object(cfg, &open_opts);", _OPENER.format("bpf_object__open_file(cfg->object, opts)")), "needed", False),
    "opener-of-others": (("obj = open_bpf_object(cfg, &open_opts);", _OPENER.format("bpf_object__open_mem(link(cfg), cfg->size, opts)")), "fixed", False),
    "opens-twice": ((OPENS + "\n\tif (!obj)\n\t\t" + OPENS, ""), "needed", False),
}  # fmt: skip

# name -> (Build-Depends, debian/rules, what that makes of a source that has the defect)
BUILT: dict[str, tuple[str, str, str]] = {
    "with": ("libelf-dev, libbpf-dev (>= 1:0.1.0~)", "", "needed"),
    "linux-any": ("libelf-dev, libbpf-dev [linux-any]", "", "needed"),
    "forced-on": ("libbpf-dev", "export LIBBPF_FORCE = on\n", "needed"),
    "without": ("libelf-dev, libmnl-dev", "", "absent"),
    "alike": ("libbpf-devel, not-libbpf-dev, libbpf1", "", "absent"),
    "in-a-comment": ("libelf-dev,\n# libbpf-dev,\n libmnl-dev", "", "absent"),
    "not-here": ("libbpf-dev [!amd64]", "", ""),
    "one-architecture": ("libbpf-dev [armhf]", "", ""),
    "a-profile": ("libbpf-dev <!nobpf>", "", ""),
    "alternative": ("libelf-dev | libbpf-dev", "", ""),
    "forced-off": ("libbpf-dev", "\t./configure --libbpf_force off\n", ""),
    "forced-off-by-variable": ("libbpf-dev", "export LIBBPF_FORCE=off\n", ""),
}


def _openers() -> Iterator[tuple[str, Variant]]:
    base = _base()
    base["debian/rules"] = ""
    for name, (change, truth, must) in OPENERS.items():
        files = dict(base)
        if change is None:
            files.update(_base("out"))
        else:
            text = files[LOADER].replace(OPENS, change[0])
            files[LOADER] = text.replace(
                "static int load_bpf_object", f"{change[1]}static int load_bpf_object"
            )
            assert files[LOADER] != base[LOADER]
        yield "1:1.1.0-1", _variant(f"opener/{name}", files, truth, must)


def _base(side: str = "in") -> dict[str, str]:
    top = BASE / side
    return {str(p.relative_to(top)): p.read_text() for p in top.rglob("*") if p.is_file()}


def _variant(name: str, files: dict[str, str], truth: str, must: bool) -> Variant:
    right = frozenset(v for v in truth.split("|") if v)
    always = frozenset({"bpf_do_load"} if must else ())
    return Variant(name, files, {"bpf_do_load": right}, always)


def of_dispatch() -> Iterator[tuple[str, Variant]]:
    """Yield (version of libbpf-dev, or nothing; variant)."""
    yield from _openers()
    base = _base()
    released = base[LEGACY][base[LEGACY].index(LOAD) :]
    released = released[: released.index("\n}\n") + 3]
    for version, old in (("", False), ("1:1.1.0-1", False), ("1:0.5.0-1~ubuntu22.04.1", True)):
        for name, (text, truth, must) in FORMS.items():
            for built, (depends, rules, made) in BUILT.items():
                if built != "with" and name not in ("released", "guarded", "own"):
                    continue
                control = f"Source: iproute2\nBuild-Depends: {depends}\n\nPackage: iproute2\n"
                files = {
                    **base,
                    LEGACY: base[LEGACY].replace(released, text),
                    "debian/control": control,
                    "debian/rules": rules,
                }
                if made == "absent" or old:
                    right, sure = "absent", made == "absent" or made == "needed"
                elif made == "needed":
                    right, sure = truth, must
                else:
                    right, sure = "", False
                label = f"libbpf-{version or 'any'}/{built}/{name}"
                # Where it may not be built with libbpf at all, absent is right, too.
                right = "absent" if not made and old else right
                yield version, _variant(label, files, right, sure)
