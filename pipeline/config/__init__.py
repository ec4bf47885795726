# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin.toml and the limits: read once, checked completely, passed on as frozen records.

It imports files and the floors below.
"""
