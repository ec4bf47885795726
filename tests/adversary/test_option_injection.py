"""Values that look like options: a version `-o…`, a file `-x`, a package of an index `-y`.

The attacker names something (a version in a Jenkins field, a file in a shared folder, a package
in an archive) so that a program which respin starts takes it for one of its own options. The
aim is an option that runs a command (`apt-get -o`, `dpkg-deb --fsys-tarfile …`).
"""

from __future__ import annotations

import pytest

from pipeline.archives import control

NO_VERSIONS = [
    *("-o", "-oDPkg::Pre-Invoke::=id", "--help", "-1"),
    *("1:2:3-", "1:2:3", "1-", "1:", ":1", "x:1", "", " 1", "1 ", "1\n", "1\n2"),
    *("+1", "~1", "a1", "1_2", "1;id", "1/../2", "1é", "٣", "9999999999:1", "1" * 200),
]


@pytest.mark.bad_input
@pytest.mark.parametrize("text", NO_VERSIONS)
def test_a_version_that_is_none(text: str) -> None:
    assert not control.version_text(text)


@pytest.mark.parametrize("text", ["6.1.0-3", "1:2.0+x-1~bpo12+1", "0", "1--1", "6.9~rc1-1ubuntu2"])
@pytest.mark.bad_input
def test_control_what_is_a_version_is_still_one(text: str) -> None:
    assert control.version_text(text)
