# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Helpers of the tests; import as ``support.…`` (tests/ is on the path by its conftest)."""
