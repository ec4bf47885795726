# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several kernels, of which some cannot be tested on."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.filled import filled

from pipeline.cli import smoke
from pipeline.errors import FetchError, RespinError, SmokeFailed, SmokeImpossible, TestbedLost
from pipeline.model import CaseResult, Cell, Seen, SmokeReport
from pipeline.smoke.standalone import Kernel, on_each


def _on(kernel: Kernel | None) -> SmokeReport:
    """Return the matrix of a kernel that is there, and raise what the name says of another."""
    errors: dict[str, type[RespinError]] = {
        "gone": FetchError,
        "unfit": SmokeImpossible,
        "deadly": TestbedLost,
        "bad": SmokeFailed,
    }
    if str(kernel) in errors:
        raise errors[str(kernel)](f"the kernel is {kernel}")
    cell = filled(Cell, seen=Seen.REFUSED if kernel == "odd" else Seen.LOADS, ok=kernel != "odd")
    row = filled(CaseResult, case="no-map", way="tc", before=cell)
    return filled(SmokeReport, kernel=str(kernel), cases=(row,))


def test_one_kernel_that_cannot_be_had_costs_itself_alone() -> None:
    measured = on_each(["6.1", "gone", "deadly", "unfit", "6.12"], _on)
    assert [report.kernel for report in measured.reports] == ["6.1", "6.12"]
    assert [(name, e.brief) for name, e in measured.refused] == [
        ("gone", "the kernel is gone"),
        ("deadly", "the kernel is deadly"),
        ("unfit", "the kernel is unfit"),
    ]


def test_where_none_is_left_the_first_error_stands() -> None:
    with pytest.raises(FetchError, match="gone"):
        on_each(["gone", "unfit"], _on)


def test_where_none_is_left_a_guest_that_was_lost_is_said() -> None:
    with pytest.raises(TestbedLost, match="deadly"):
        on_each(["gone", "deadly"], _on)


@pytest.mark.parametrize(
    ("kernels", "code", "named"),
    [
        (["6.1", "6.12"], 0, []),
        (["6.1", "gone", "unfit"], 15, ["gone", "unfit"]),
        (["deadly", "6.1", "gone"], 16, ["deadly", "gone"]),
        (["deadly", "odd", "6.1"], 14, ["deadly"]),
    ],
)
def test_the_exit_code_of_several(
    kernels: list[str], code: int, named: list[str], tmp_path: Path
) -> None:
    measured = on_each(kernels, _on)
    if code == 0:
        smoke._judge(measured, tmp_path)
        return
    with pytest.raises(RespinError) as caught:
        smoke._judge(measured, tmp_path)
    assert caught.value.exit_code == code
    assert [name for name in kernels if f"the kernel is {name}" in caught.value.details] == named


def test_what_concerns_the_package_ends_it_all() -> None:
    with pytest.raises(SmokeFailed, match="bad"):
        on_each(["6.1", "bad", "6.12"], _on)
