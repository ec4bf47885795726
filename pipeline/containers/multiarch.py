# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of two architectures in one root, as a cross build needs them.

Those of the root's own architecture, which is that of its dpkg, run there; the foreign ones are
the libraries and headers that the package is built with (Debian's multiarch).
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model import Package


def own(key: Sequence[Package]) -> frozenset[str]:
    """Return the architecture of a root with these packages; nothing if it has no dpkg."""
    return frozenset(p.architecture for p in key if p.name == "dpkg")


def foreign(key: Sequence[Package]) -> tuple[str, ...]:
    """Return the architectures that a root with these packages has beside its own."""
    found = {p.architecture for p in key} - {"all"}
    return tuple(sorted(found - own(key))) if own(key) else ()


def named(key: Sequence[Package]) -> list[str]:
    """Return the packages as apt takes them, each with its version."""
    others = foreign(key)
    return [
        f"{p.name}{f':{p.architecture}' if p.architecture in others else ''}={p.version}"
        for p in key
    ]
