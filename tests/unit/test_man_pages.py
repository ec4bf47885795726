# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages know every command, option, exit status and key of the configuration."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import pytest

from pipeline import errors
from pipeline.cli.main import cli
from pipeline.config.config import Archives, Derivative
from pipeline.config.nightly import Nightly, Notifying, Publishing

TOOL = Path(__file__).parents[2] / "tools" / "make_man.py"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_man", TOOL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.path", [])
    spec.loader.exec_module(module)
    return module


def test_each_command_has_its_section_with_all_its_options(tool: ModuleType) -> None:
    pages = "".join(tool.pages().values())
    assert "@commands" not in pages
    for name in cli.commands:
        for path, text in tool.commands(name).items():
            assert pages.count(f"## {path}\n") == 1
            command: click.Command = cli
            for word in path.split()[1:]:
                assert isinstance(command, click.Group)
                command = command.commands[word]
            options = {o for p in command.params for o in p.opts if o.startswith("-")}
            assert {o for o in options if f"**{tool.escaped(o)}**" not in text} == set()


def test_a_command_that_no_page_describes(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "respin.1.md").write_text("@commands run fetch key\n\n@commands fetch\n")
    monkeypatch.setattr(tool, "SOURCES", tmp_path)
    with pytest.raises(SystemExit) as refused:
        tool.pages()
    assert "respin fetch" in str(refused.value) and "respin build" in str(refused.value)
    assert "respin key init" not in str(refused.value)


def test_the_exit_statuses(tool: ModuleType) -> None:
    section = tool.pages()["respin.1"].partition("# EXIT STATUS")[2].partition("\n# ")[0]
    codes = {cls.exit_code for cls in errors.tree(errors.RespinError)}
    assert {int(n) for n in re.findall(r"^(\d+)$", section, re.MULTILINE)} == {0, *codes}


def test_the_keys_of_the_configuration(tool: ModuleType) -> None:
    page = tool.pages()["respin.toml.5"]
    parts = dict(re.findall(r"^# THE TABLES? (\[\w+)[^\n]*\n(.*?)(?=^# )", page, re.M | re.S))
    for table, record in {
        "[archives": Archives,
        "[release": Derivative,
        "[nightly": Nightly,
        "[publish": Publishing,
        "[notify": Notifying,
    }.items():
        names = {f.name.replace("_", "-") for f in fields(record)} - {"name", "publish", "notify"}
        terms = re.findall(r"^([a-z][a-z, -]+)\n:   ", parts[table], re.MULTILINE)
        assert {t for term in terms for t in term.split(", ")} == names
