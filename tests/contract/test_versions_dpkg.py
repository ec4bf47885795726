# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The law of versions: above the distro's and its rebuilds, below all that can follow.

Held against dpkg itself: python-debian, with which the laws are tried on many versions, has
to say what ``dpkg --compare-versions`` says on the pairs tried here.
"""

from __future__ import annotations

import random
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from debian.debian_support import Version
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.archives import dsc_file
from pipeline.errors import PatchError
from pipeline.fixes import versions

number = st.integers(0, 40).map(str)
upstream = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "1:"]),
        st.sampled_from(["4.9.0", "4.15.0", "5.10.0", "6.1.0", "6.15.0", "20160102", "6.9~rc1"]),
        st.sampled_from(["", "", "+ds", "+dfsg1", "+git20200101"]),
    ),
)
debian = st.builds(
    "{}-{}{}{}".format,
    upstream,
    number,
    st.sampled_from(["", "", ".1", ".2", "+nmu1"]),
    st.one_of(
        st.just(""),
        st.builds("+deb{}u{}".format, st.integers(7, 14), st.integers(1, 12)),
        st.builds("~bpo{}+{}".format, st.integers(7, 14), st.integers(1, 12)),
        st.builds("~deb{}u{}".format, st.integers(7, 14), st.integers(1, 12)),
        st.sampled_from(["+wheezy1", "+squeeze2"]),
    ),
)
ubuntu = st.builds(
    "{}-{}{}{}".format,
    upstream,
    number,
    st.one_of(
        st.just(""),
        st.builds("build{}".format, st.integers(1, 12)),
        st.builds("ubuntu{}".format, st.integers(0, 12)),
        st.builds("ubuntu{}.{}".format, st.integers(0, 12), st.integers(0, 12)),
    ),
    st.one_of(
        st.just(""),
        st.sampled_from(["~22.04.1", "~24.04.2", ".22.04.1", "+esm1", "~ppa1"]),
        st.builds("build{}".format, st.integers(1, 3)),
    ),
)
counted = st.integers(1, 120)


def _last_plus(version: str, steps: int) -> str:
    head = version.rstrip("0123456789")
    return f"{head}{int(version[len(head) :] or 0) + steps}"


def after_debian(version: str, n: int, release: int) -> list[str]:
    """Return what can follow a version in Debian, all conventions."""
    revision = version.rpartition("-")[2]
    plain = version.rpartition("-")[0] + "-" + revision.split("+")[0].split("~")[0].split(".")[0]
    stable = [f"{version}+deb{release}u{n}", f"{version}+wheezy{n}", f"{version}+nmu{n}"]
    return [*stable, f"{version}.{n}", _last_plus(version, n), _last_plus(plain, n)]


def after_ubuntu(version: str, n: int, release: int) -> list[str]:
    """Return what can follow a version in Ubuntu, all conventions."""
    found = [f"{version}build{n}", f"{version}.{n}", f"{version}+esm{n}", _last_plus(version, n)]
    found += [f"{_last_plus(version, 1)}~{release}.04.{n}"]
    if "ubuntu" not in version:
        found += [
            f"{version}ubuntu{n}",
            f"{version}ubuntu0.{n}",
            f"{version}ubuntu0.{release}.04.{n}",
        ]
    return found


def test_python_debian_is_dpkg() -> None:
    draw = random.Random(1)
    seen = [f"6.1.0-{r}" for r in ("3", "3+b1", "3+b12", "3+bpf1", "3+bpf10", "3+deb12u1", "3.1")]
    seen += [f"6.1.0-{r}" for r in ("3+nmu1", "3~bpo11+1", "4", "3+etch1", "3+esm1", "3+b1+bpf1")]
    for base in ("5.15.0-1", "5.15.0-1ubuntu2", "5.15.0-1ubuntu2.1", "1:4.15.0-2build1", "6.1.0"):
        for tail in (
            "",
            "bpf1",
            "bpf2",
            "build1",
            ".1",
            "ubuntu0.1",
            "ubuntu1",
            "~22.04.1",
            "+esm1",
        ):
            seen.append(base + tail)
    pairs = [(draw.choice(seen), draw.choice(seen)) for _ in range(400)]
    # What the law rests on, each of them.
    pairs += [
        pair
        for distro, base in (
            *(
                ("debian", v)
                for v in ("6.1.0-3", "6.1.0-3+deb12u1", "6.1.0-3.1", "6.1.0-3~bpo11+1")
            ),
            *(("ubuntu", v) for v in ("6.1.0-1", "6.1.0-1ubuntu1", "6.1.0-1ubuntu1~22.04.1")),
        )
        for pair in versions.ordering(base, versions.rebuilt(base, distro), distro)
    ]

    def dpkg_says(pair: tuple[str, str]) -> bool:
        done = subprocess.run(["dpkg", "--compare-versions", pair[0], "lt", pair[1]], check=False)
        return done.returncode == 0

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(dpkg_says, pairs))
    assert said == [Version(a) < Version(b) for a, b in pairs]
    assert any(said) and not all(said)


@given(debian, counted, st.integers(8, 14), st.integers(1, 99))
def test_debian(version: str, n: int, release: int, rebuild: int) -> None:
    ours = versions.rebuilt(version, "debian", n)
    assert Version(version) < Version(f"{version}+b{rebuild}") < Version(ours)
    for later in after_debian(version, n, release):
        if Version(later) > Version(version):
            assert Version(ours) < Version(later)
    versions.check_against(ours, [version, f"{version}+b{rebuild}", "1:99-1", "0.1-1"])


@given(ubuntu, counted, st.integers(18, 26))
def test_ubuntu(version: str, n: int, release: int) -> None:
    ours = versions.rebuilt(version, "ubuntu", n)
    assert Version(version) < Version(ours)
    for later in after_ubuntu(version, n, release):
        if Version(later) > Version(version):
            assert Version(ours) < Version(later)
    versions.check_against(ours, [version, f"{version}build1", "1:99-1"])


@given(st.one_of(debian, ubuntu), st.sampled_from(["debian", "ubuntu"]), counted)
def test_a_later_rebuild_is_above(version: str, distro: str, n: int) -> None:
    one, two = (versions.rebuilt(version, distro, number) for number in (n, n + 1))
    assert Version(one) < Version(two)
    versions.check_against(two, [version, one])
    with pytest.raises(PatchError, match="would not replace"):
        versions.check_against(one, [version, two])


def test_other_suffixes_break_the_law() -> None:
    for wrong in ("+local1", "+respin1", "+z1", "~bpf1", "+a1", ".1bpf1"):
        with pytest.raises(PatchError, match="can make no version"):
            versions.rebuilt("6.1.0-3", "debian", rule=wrong)
    for wrong in ("+bpf1", "ubuntu1", ".1", "z1"):
        with pytest.raises(PatchError, match="can make no version"):
            versions.rebuilt("6.1.0-1ubuntu1", "ubuntu", rule=wrong)


@pytest.mark.parametrize("version", ["6.1.0-3a", "6.1.0-ubuntu"])
def test_no_number_at_the_end(version: str) -> None:
    with pytest.raises(PatchError, match="can make no version"):
        versions.rebuilt(version, "ubuntu" if "ubuntu" in version else "debian")


def test_against_an_archive() -> None:
    versions.check_against("6.1.0-3+bpf1", ["6.1.0-3", "6.1.0-3+b1", "6.1.0-3+deb12u1", "6.1.0-2"])
    for hidden in ("6.1.0-3+b2p1", "6.1.0-3+bpe1", "6.1.0-3+a1", "6.1.0-3+1"):
        with pytest.raises(PatchError, match="would hide"):
            versions.check_against("6.1.0-3+bpf1", ["6.1.0-3", hidden])
    with pytest.raises(PatchError, match="is not the version of a rebuild"):
        versions.check_against("6.1.0-3", ["6.1.0-3"])


words = st.text("019azA.+~-:_ \n", max_size=12)
likely = st.builds("".join, st.tuples(st.sampled_from(["", "1:", "1:2:", ":"]), words))


@given(likely)
@settings(max_examples=200, deadline=None)
@example("1:2:3-")
@example("1:2:3")
@example("1-")
@example("1:")
@example("0:0-0")
@example("1--1")
@example("1:1-1:1")
@example("a1")
@example(" 1")
@example("1\n")
def test_what_is_a_version_is_one_for_dpkg(text: str) -> None:
    """Ours is dpkg's, without a second colon, blanks around it, or a dash before it."""
    if text.startswith("-"):  # to dpkg it is an option
        assert not dsc_file.version_text(text)
        return
    done = subprocess.run(
        ["dpkg", "--validate-version", text], check=False, stderr=subprocess.DEVNULL
    )
    narrow = done.returncode == 0 and text.count(":") < 2 and text == text.strip()
    assert dsc_file.version_text(text) == narrow
