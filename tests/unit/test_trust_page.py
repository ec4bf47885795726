# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/trust.md names the test of each attack, and every test of tests/adversary stands there."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_the_threat_model_and_the_attacks_agree() -> None:
    named = set(re.findall(r"\btest_[a-z_]+", (TOP / "docs/trust.md").read_text()))
    there = {path.stem for path in (TOP / "tests/adversary").glob("test_*.py")}
    assert named == there
