# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How a request over wire.py fails.

A module of its own, so that these can be caught without wire.py: requests and what it needs take a
tenth of the time in which respin starts, and most commands ask nobody.
"""

from __future__ import annotations

from enum import Enum


class TooSlow(Exception):
    """The connection was cut; its text says why."""


class How(Enum):
    """How a request failed, as far as anybody has to know."""

    CIRCLES = "it was redirected too often"
    BROKEN = "there was no connection, or it ended too early: worth another try"
    OTHER = "it was not possible"


class Failed(Exception):
    """A request has failed; its text is that of the ``cause``, an exception of requests."""

    def __init__(self, how: How, cause: Exception) -> None:
        super().__init__(str(cause))
        self.how, self.cause = how, cause
