"""Several kernels, of which some cannot be tested on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import FetchError, RespinError, SmokeFailed, SmokeImpossible
from pipeline.measure import on_each
from pipeline.model import SmokeReport


def _on(kernel: str | Path | None) -> SmokeReport:
    """Return the matrix of a kernel that is there, and raise what the name says of another."""
    errors: dict[str, type[RespinError]] = {
        "gone": FetchError,
        "unfit": SmokeImpossible,
        "bad": SmokeFailed,
    }
    if str(kernel) in errors:
        raise errors[str(kernel)](f"the kernel is {kernel}")
    return SmokeReport(
        place="guest",
        kernel=str(kernel),
        kernel_package=None,
        accelerator="tcg",
        before="",
        after="",
        packages=(),
        loaders=(),
        cases=(),
        crashes=0,
        seconds=0,
    )


def test_one_kernel_that_cannot_be_had_costs_itself_alone() -> None:
    measured = on_each(["6.1", "gone", "unfit", "6.12"], _on)
    assert [report.kernel for report in measured.reports] == ["6.1", "6.12"]
    assert [(name, e.brief) for name, e in measured.refused] == [
        ("gone", "the kernel is gone"),
        ("unfit", "the kernel is unfit"),
    ]


def test_where_none_is_left_the_first_error_stands() -> None:
    with pytest.raises(FetchError, match="gone"):
        on_each(["gone", "unfit"], _on)


def test_what_concerns_the_package_ends_it_all() -> None:
    with pytest.raises(SmokeFailed, match="bad"):
        on_each(["6.1", "bad", "6.12"], _on)
