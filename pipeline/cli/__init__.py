# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: it reads options, makes one call, and prints text and an exit code.

Read main.py first. It may import everything; nothing imports it.
"""
