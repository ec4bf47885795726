# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Helpers of the tests; import them as ``support.…`` (conftest.py puts tests/ on the path)."""
