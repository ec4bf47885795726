# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""All errors that respin reports to its user.

They form one tree. Each error says what happened (``brief``), what else is known about it
(``details``, possibly many lines) and what the user can do (``hint``). The exit code belongs to the
class; a test checks that no two classes share one.
"""

from __future__ import annotations

from collections.abc import Iterator


class RespinError(Exception):
    """Base of all errors that are shown to the user."""

    exit_code = 1

    def __init__(self, brief: str, *, details: str = "", hint: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.hint = hint


class UsageError(RespinError):
    """The command line, the configuration or the machine does not allow the run to begin."""

    exit_code = 2


class FetchError(RespinError):
    """The source, an index or a package could not be fetched or verified."""

    exit_code = 10


class DiagnosisRefused(RespinError):
    """Something in the source was not understood; respin does not build on a guess."""

    exit_code = 11


class PatchError(RespinError):
    """The patch, or the source package with it, could not be made."""

    exit_code = 12


class BuildError(RespinError):
    """The package did not build, or the container for it could not be made."""

    exit_code = 13


class SmokeFailed(RespinError):
    """A package gave a wrong result in the guest."""

    exit_code = 14


class SmokeImpossible(RespinError):
    """The smoke test cannot be done here; nothing is proven."""

    exit_code = 15


class TestbedLost(RespinError):
    """The guest crashed, hung or never started; nothing is proven."""

    __test__ = False  # not a test class, whatever pytest thinks of its name
    exit_code = 16


class PublishError(RespinError):
    """The package could not be published."""

    exit_code = 17


class LockHeld(RespinError):
    """Another run holds the lock."""

    exit_code = 18


class NotVerified(RespinError):
    """A signed statement is missing, is not signed by a trusted key, or does not fit its files."""

    exit_code = 19


def tree(cls: type[RespinError] = RespinError) -> Iterator[type[RespinError]]:
    """Yield ``cls`` and all classes below it."""
    yield cls
    for sub in cls.__subclasses__():
        yield from tree(sub)
