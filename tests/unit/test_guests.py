# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a guest may have."""

from __future__ import annotations

import re

import pytest

from pipeline.smoke import guest_image
from pipeline.vm.machine import machine_for

DEBIAN = {
    "linux-image-amd64": "newest",
    "linux-image-cloud-amd64": "newest",
    "linux-image-rt-amd64": "newest",
    "linux-image-6.12-cloud-amd64": "newest",
    "linux-image-4.9.0-19-amd64": "all",
    "linux-image-6.1.0-0.deb11.25-cloud-amd64": "all",
    "linux-image-6.1.0-56-amd64": "all",
    "linux-image-6.1.0-56-rt-amd64": "all",
    "linux-image-6.12.117+deb12-cloud-amd64": "all",
    "linux-image-6.16~rc7-amd64": "all",
    "linux-image-6.1.0-56-amd64-dbg": "",
    "linux-image-6.1.0-56-cloud-amd64-unsigned": "",
    "linux-image-6.1.0-56-arm64": "",
    "linux-image-amd64-dbg": "",
    "linux-image-amd64-signed-template": "",
    "linux-image-arm64": "",
}
UBUNTU = {
    "linux-image-generic": "newest",
    "linux-image-generic-hwe-22.04": "newest",
    "linux-image-virtual": "newest",
    "linux-image-4.15.0-20-lowlatency": "all",
    "linux-image-6.8.0-31-generic": "all",
    "linux-image-6.8.0-31-generic-64k": "all",
    "linux-image-6.8.0-1009-aws": "all",
    "linux-image-6.8.0-31-generic-dbgsym": "",
    "linux-image-unsigned-6.8.0-31-generic": "",
    "linux-image-extra-4.4.0-21-generic": "",
    "linux-image-extra-virtual": "",
}


@pytest.mark.parametrize(("distro", "index"), [("debian", DEBIAN), ("ubuntu", UBUNTU)])
@pytest.mark.parametrize("word", guest_image.SETS)
def test_which_kernels_of_an_index_are_taken(distro: str, index: dict[str, str], word: str) -> None:
    """A package is in one set at most: what is in ``newest`` only depends on one of ``all``."""
    pattern = guest_image.kernel_pattern(distro, word, machine_for("amd64"))
    taken = {name for name in index if re.fullmatch(pattern, name)}
    assert taken == {name for name, meant in index.items() if meant == word}


def test_of_another_distro_none_is_known() -> None:
    assert guest_image.kernel_pattern("plan9", "all", machine_for("amd64")) == ""
