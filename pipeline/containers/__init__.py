# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers, in which packages are built: one protocol, and one module for each engine.

It imports archives, isolation and the floors below.
"""

from pipeline.containers.base import Container, User

__all__ = ["Container", "User"]
