# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own archive, through the mirror that this machine uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archives.apt import AptArchive
from pipeline.host.cache import Cache, file_sha256
from pipeline.releases import releases
from pipeline.source import fetch

# The .dsc of Debian 12's iproute2, as published with 12.0 and never changed since.
DSC = "cd9e054a0c1f371a23fdd66e1f593b35bd1b12a2e53c284ec19c764da201a31f"


@pytest.mark.e2e
def test_bookworm(tmp_path: Path) -> None:
    release = releases.find("bookworm")
    archive = AptArchive(release, releases.sources(release), Cache())
    source = fetch.fetch(archive, "6.1.0-3", tmp_path / "source")
    assert source.files[0].sha256 == file_sha256(source.dsc) == DSC
    assert "signed by" in source.files[0].verified
    tree = fetch.unpack(source, tmp_path / "tree")
    assert "bpf_do_load" in (tree / "lib/bpf_legacy.c").read_text()
    closure = {p.name for p in archive.closure(archive.essential(), dsc=source.dsc)}
    assert {"libbpf-dev", "gcc", "dpkg-dev", "bison", "bash", "apt"} <= closure
    deb = archive.fetch_binary("iproute2", "6.1.0-3", tmp_path / "deb")
    assert deb.sha256 == file_sha256(deb.path)
