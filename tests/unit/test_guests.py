"""Which kernels a guest may have."""

from __future__ import annotations

import re
import tomllib

import pytest

from pipeline.data import data_path

EVERY = tomllib.loads(data_path("templates", "guest", "guest.toml").read_text())["every"]


@pytest.mark.parametrize(
    ("distro", "name", "meant"),
    [
        ("debian", "linux-image-amd64", True),
        ("debian", "linux-image-cloud-amd64", True),
        ("debian", "linux-image-rt-amd64", True),
        ("debian", "linux-image-6.12-cloud-amd64", True),
        ("debian", "linux-image-6.1.0-56-amd64", False),  # the first of these stands for it
        ("debian", "linux-image-amd64-dbg", False),
        ("debian", "linux-image-amd64-signed-template", False),
        ("debian", "linux-image-arm64", False),
        ("ubuntu", "linux-image-generic", True),
        ("ubuntu", "linux-image-generic-hwe-22.04", True),
        ("ubuntu", "linux-image-virtual", True),
        ("ubuntu", "linux-image-6.8.0-31-generic", False),
        ("ubuntu", "linux-image-unsigned-6.8.0-31-generic", False),
    ],
)
def test_every_kernel_is_the_newest_of_each_flavour(distro: str, name: str, meant: bool) -> None:
    pattern = EVERY[distro].format(kernel="amd64")
    assert bool(re.fullmatch(pattern, name)) is meant
