# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rebuild a distro's iproute2 with a working loader for legacy BPF maps, and prove it.

Read pipeline/run.py first.
"""

__version__ = "0.1.0"
