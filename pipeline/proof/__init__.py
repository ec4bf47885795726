# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Signed statements about a run: what it made, from what, and what was seen; and their check.

It imports archives and the floors below.
"""
