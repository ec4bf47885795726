# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: options in, one call, words and an exit code out. Read main.py first.

It imports everything; nothing imports it.
"""
