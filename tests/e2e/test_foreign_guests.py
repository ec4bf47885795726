# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own packages of other architectures, each on an emulated machine of its own.

The distro's 6.1.0-3 is the negative control: its libbpf refuses legacy maps, and loads and counts
BTF maps. On arm64, Debian 11's 5.10.0-4 shows that legacy maps load where the loader takes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import cli, real

from pipeline.archives.apt import AptArchive
from pipeline.model import Seen
from pipeline.releases import releases
from pipeline.releases.releases import USUAL, Pocket
from pipeline.smoke import smoke
from pipeline.smoke.cases import select
from pipeline.vm.machine import machine_for

SHORT = list(dict.fromkeys(case.name for case in select(None)))
MORE = ["map-in-map", "tail-calls", "lpm-trie"]


def archive(
    architecture: str, name: str = "bookworm", pockets: Sequence[Pocket] = USUAL
) -> AptArchive:
    release = releases.find(name)
    sources = releases.sources(release, pockets=pockets, architecture=architecture)
    return AptArchive(release, sources, real.cache(), architecture=architecture)


def needs(architecture: str) -> pytest.MarkDecorator:
    return pytest.mark.needs(f"{machine_for(architecture).multiarch}-gcc")


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=needs(name)) for name in ("arm64", "s390x")],
)
def test_the_distros_own_package(architecture: str, tmp_path: Path) -> None:
    """The command finds out the architecture by itself."""
    deb = archive(architecture).fetch_binary("iproute2", None, tmp_path).path
    wanted = [word for name in (*SHORT, *MORE) for word in ("--case", name)]
    said = cli.respin(
        *("smoke", "--deb", deb, "--release", "bookworm", "--way", "tc", "--json"),
        *wanted,
        cache=real.cache().root,
        timeout=500,
    )
    assert said.status == 0, said.err
    (report,) = json.loads(said.out)["reports"]
    machine = machine_for(architecture)
    assert (report["architecture"], report["accelerator"]) == (architecture, "tcg")
    assert report["machine"] == machine.title and report["crashes"] == 0
    assert machine.kernel in report["kernel"]
    assert report["kernel_package"]["architecture"] == architecture
    assert any(words.startswith(machine.compiler) for words in report["compilers"])
    by = {row["case"]: row["before"] for row in report["cases"]}
    assert set(by) == {*SHORT, *MORE}
    for name in ("pinned-hash", *MORE):
        assert by[name]["seen"] == "refused", name
        assert "legacy map definitions" in by[name]["output"]
    assert by["btf-maps"]["seen"] == "loads" and by["btf-maps"]["counted"] == 7


@needs("arm64")
def test_legacy_maps_load_where_the_loader_takes_them(tmp_path: Path) -> None:
    old = archive("arm64", "bullseye", (Pocket.RELEASE,))
    debs = [old.fetch_binary(name, None, tmp_path).path for name in ("iproute2", "libbpf0")]
    report = smoke.smoke(
        smoke.prepare(archive("arm64"), real.cache(), log_dir=tmp_path),
        before=debs,
        after=(),
        turned={},
        lacks=None,
        cases=select(["pinned-hash", "map-in-map", "lpm-trie"], ["tc"]),
        cache=real.cache(),
        log_dir=tmp_path,
    )
    assert report.ok and report.loaders == ("libbpf-0",)
    assert [(row.before.seen, row.before.counted) for row in report.cases] == [(Seen.LOADS, 7)] * 3
