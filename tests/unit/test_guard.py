# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guard of the unit tests does guard."""

from __future__ import annotations

import socket
import subprocess

import pytest

from pipeline.host import command


def test_no_process() -> None:
    with pytest.raises(AssertionError, match="must not do this"):
        subprocess.run(["true"])
    with pytest.raises(AssertionError, match="must not do this"):
        command.run(["true"])


def test_no_network() -> None:
    with (
        socket.socket() as s,
        pytest.raises(AssertionError, match="must not do this"),
    ):
        s.connect(("127.0.0.1", 9))
