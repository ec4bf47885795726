# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole matrix, as a user has it: on the terminal, as a page, as JSON, as JUnit XML.

Made once, in one boot, with Debian's 6.1.0-3 before and the fixed programs after.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from support import breakages, cli, real

from pipeline.host.resources import package_data
from pipeline.smoke.cases import select

DOCS = Path(__file__).parents[2] / "docs" / "smoke.md"
SCHEMA = json.loads(package_data("pipeline.smoke", "smoke.schema.json").read_text())


@dataclass(frozen=True)
class Made:
    """What a call of ``respin smoke`` left."""

    said: cli.Said
    directory: Path

    @property
    def report(self) -> dict[str, Any]:
        """The one matrix of its JSON."""
        report: dict[str, Any] = json.loads(self.said.out)["reports"][0]
        return report


@pytest.fixture(scope="module")
def distro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Debian's own .deb."""
    return real.archive().fetch_binary("iproute2", None, tmp_path_factory.mktemp("deb")).path


@pytest.fixture(scope="module")
def fixed(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same with the fixed programs."""
    return breakages.sound_deb(distro, tmp_path_factory.mktemp("fixed"))


@pytest.fixture(scope="module")
def made(distro: Path, fixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Measure both, once."""
    directory = tmp_path_factory.mktemp("made")
    said = cli.respin(
        *("smoke", "--deb", fixed, "--against", distro, "--release", "bookworm", "--json"),
        *("--html", directory / "page.html", "--junit", directory / "junit.xml"),
        *("--markdown", directory / "table.md"),
        cache=real.cache().root,
    )
    return Made(said, directory)


def test_every_cell_is_as_expected(made: Made) -> None:
    assert made.said.status == 0, made.said.err
    report = made.report
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(made.said.out))
    rows = {(row["case"], row["way"]) for row in report["cases"]}
    assert rows == {(c.name, c.way.name) for c in select(None, whole=True)}
    assert report["loaders"] == ["libbpf-1", "libbpf-1-fixed"]
    assert report["crashes"] == 0
    seen = {c["before"]["seen"] for c in report["cases"]}
    assert "not-possible" not in seen | {c["after"]["seen"] for c in report["cases"]}


def test_legacy_maps_load_after_and_not_before(made: Made) -> None:
    by = {(c["case"], c["way"]): c for c in made.report["cases"]}
    for key in (
        *(("pinned-hash", way) for way in ("lwt-in", "lwt-out", "action")),
        *(("tail-calls", "exec"), ("handover", "export")),
    ):
        assert (by[key]["before"]["seen"], by[key]["after"]["seen"]) == ("refused", "loads")
    assert by["drop", "egress"]["after"]["received"] == 0
    assert by["drop", "lwt-in"]["after"]["received"] == 0
    assert "map_type:" in by["handover", "export"]["after"]["output"]
    assert by["redirect", "tc"]["after"]["received"] == 7
    assert by["tail-calls", "tc"]["after"]["maps"] == {"counts": 7777, "missed": 7}
    assert "map map8: section maps" in by["eight-maps", "tc"]["object"]
    assert "refused" in by["broken-objects", "tc"]["after"]["output"]


def test_the_documentation_has_this_matrix(made: Made) -> None:
    table = (made.directory / "table.md").read_text()
    assert table.count("\n") > 50
    assert table in DOCS.read_text(), "docs/smoke.md: put the output of --markdown there"


def test_a_browser_reads_the_page(made: Made, tmp_path: Path) -> None:
    """Chromium builds the document; what it then holds is what a reader sees."""
    page = made.directory / "page.html"
    argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*argv, f"--user-data-dir={tmp_path}", f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    document = done.stdout
    assert "<title>What this tc loads: iproute2 6.1.0-3 → iproute2 6.1.0-3+bpf1</title>" in document
    assert document.count("<details") == 2 * len(made.report["cases"])
    assert document.count("</details>") == document.count("<details")
    cell = document.partition('data-case="maps-65" data-way="tc" data-when="after"')[2]
    cell = cell.partition("</details>")[0]
    assert "Too many BPF maps in ELF section!" in cell
    assert "tc filter add dev respin0 ingress" in cell
    assert "Kernel log" in cell
    assert "map map65: section maps" in cell
    better = sum(row["before"]["seen"] != row["after"]["seen"] for row in made.report["cases"])
    assert f"<b>{better}</b> load now but did not before" in document
    assert "<script" not in document


def test_a_ci_system_reads_the_xml(made: Made) -> None:
    root = ET.parse(made.directory / "junit.xml").getroot()
    assert [suite.get("failures") for suite in root] == ["0", "0"]
    assert len(root.findall("testsuite/testcase")) == 2 * len(made.report["cases"])


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF want root")
def test_the_same_in_namespaces(distro: Path, fixed: Path, made: Made) -> None:
    """What this machine's kernel has is seen as in the guest; what it lacks is named."""
    said = cli.respin(
        *("smoke", "--deb", fixed, "--against", distro, "--place", "netns", "--json"),
        cache=real.cache().root,
    )
    assert said.status == 0, said.err
    report = json.loads(said.out)["reports"][0]
    assert (report["place"], report["kernel_package"]) == ("netns", None)
    assert report["kernel"] == os.uname().release
    seen = 0
    for here, there in zip(report["cases"], made.report["cases"], strict=True):
        for when in ("before", "after"):
            if here[when]["seen"] == "not-possible":
                assert "this needs CONFIG_" in here[when]["reason"]
            else:
                assert here[when]["seen"] == there[when]["seen"], (here["case"], here["way"])
                seen += 1
    assert seen > 80


def test_namespaces_are_refused_to_who_has_no_rights(
    distro: Path, ordinary_user: str | None
) -> None:
    directory = Path(tempfile.mkdtemp(prefix="respin-test-"))  # where that user can read
    try:
        deb = directory / distro.name
        deb.write_bytes(distro.read_bytes())
        directory.chmod(0o755)
        deb.chmod(0o644)
        args = ("smoke", "--deb", deb, "--place", "netns", "--case", "no-map", "--way", "tc")
        said = cli.respin(*args, user=ordinary_user)
    finally:
        shutil.rmtree(directory)
    assert said.status == 15, said.err
    assert "may not create a network namespace" in said.err
    assert "a guest needs no privileges" in said.err


def test_one_case_alone_against_a_breakage(fixed: Path, tmp_path: Path) -> None:
    """Red in one case, by its name, is what the exit code says; and where to look."""
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", fixed, tree], check=True)
    broken = breakages.binaries() / "names-the-first-map.tc"
    (tree / "sbin/tc").write_bytes(broken.read_bytes())
    deb = breakages.repack(tree, "6.1.0-3+bpf2", tmp_path / "broken.deb")
    args = ("smoke", "--deb", deb, "--release", "bookworm", "--case", "several-maps")
    said = cli.respin(*args, "--logs", tmp_path / "logs", cache=real.cache().root)
    assert said.status == 14
    assert f"read the logs in {tmp_path / 'logs'}" in said.err.replace("\n", "")
    assert (tmp_path / "logs" / "guest-console.log").exists()
    assert "1 of 1 results are wrong" in said.err
    assert "twos holds -1 instead of 14" in said.err


def test_what_is_no_iproute2(tmp_path: Path) -> None:
    for name, content, status, words in (
        ("text.deb", b"text", 14, "text.deb is not a Debian package"),
        ("none.deb", None, 2, "does not exist"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        said = cli.respin("smoke", "--deb", path, cache=real.cache().root)
        assert (said.status, words in said.err.replace("\n", " ")) == (status, True), said.err
