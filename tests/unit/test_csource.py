# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is code, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.fixes import build_depends, c_source


@pytest.mark.parametrize(
    "text",
    [
        "a /* STT */ b",
        "a // STT",
        "a // x \\\nSTT\nb",
        'a "STT" b',
        'a "\\"STT" b',
        "a '\"' /* STT */ b",
        "#if 0\nSTT\n#endif\n",
        "# if 0\n#ifdef X\nSTT\n#else\nSTT\n#endif\n#endif\n",
        "#if 0 /* never */\nSTT\n#endif\n",
        "#ifdef X\n#if 0\nSTT\n#endif\n#endif",
    ],
)
def test_no_code(text: str) -> None:
    code = c_source.code_only(text)
    assert "STT" not in code
    assert len(code) == len(text)
    assert code.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "/* a */ STT /* b */",
        '"/*" STT "*/"',
        "'\"' STT '\"'",
        "#if 0\na\n#else\nSTT\n#endif\n",
        "#if 1\nSTT\n#endif\n",
        "#if 0\na\n#endif\nSTT\n",
        "#if 0\n#if 1\n#endif\n#endif\nSTT",
        "#if 0\n#elif X\nSTT\n#endif",
    ],
)
def test_code(text: str) -> None:
    assert "STT" in c_source.code_only(text)


def test_if_0_leaves_no_directive() -> None:
    assert c_source.directives(c_source.code_only("#if 0\na\n#else\nb\n#endif\n")) == []
    kept = c_source.directives(c_source.code_only("#  if  defined( X )\na\n#else\nb\n#endif\n"))
    assert kept == ["#if defined( X )", "#else", "#endif"]
    # An #elif is left for the reader to stumble over.
    assert c_source.directives(c_source.code_only("#if 0\n#elif X\n#endif\n")) == ["#elif X"]


def test_definitions() -> None:
    code = "int f(int a);\nint f(int a)\n{\n\tif (a) { g(); }\n}\nint h(void) { f(1); }\n"
    assert c_source.definitions(code, "f") == [(2, "f(int a)\n{\n\tif (a) { g(); }\n}")]
    assert c_source.definitions(code, "g") == []
    assert c_source.definitions("int f(void) { {", "f") == [(1, "f(void) { {")]


def test_mentions() -> None:
    assert c_source.mentions("if (a.if_b) if(c)", "if") == 2
    assert c_source.mentions("&sym != & sym", r"&\s*<sym>\b", {"sym": "sym"}) == 2
    assert c_source.mentions("&sym2", r"&\s*<sym>\b", {"sym": "sym"}) == 0
    assert c_source.words("#define X y\nif (a->b == 0x1f)") == {"if", "a", "b"}
    assert c_source.macros("#define A 1\n # undef B\n#ifdef C\n") == {"A", "B"}


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("Build-Depends: a, libbpf-dev (>= 1:0.1)", True),
        ("Build-Depends: a\nBuild-Depends-Arch: libbpf-dev [linux-any]", True),
        ("Build-Depends: a", False),
        ("Build-Depends:", False),
        ("Build-Depends: a,\n# libbpf-dev,\n b", False),
        ("Build-Depends: a\n\nPackage: b\nBuild-Depends: libbpf-dev", False),
        ("Build-Depends: libbpf-dev [!amd64]", None),
        ("Build-Depends: libbpf-dev [armhf]", None),
        ("Build-Depends: libbpf-dev <!nobpf>", None),
        ("Build-Depends: a | libbpf-dev", None),
        ("Build-Depends: libbpf-dev\nBuild-Conflicts: libbpf-dev (>= 1)", None),
    ],
)
def test_build_dependency(tmp_path: Path, control: str, expected: bool | None) -> None:
    (tmp_path / "control").write_text(f"Source: iproute2\n{control}\n")
    assert build_depends.build_dependency(tmp_path, "libbpf-dev")[0] is expected
