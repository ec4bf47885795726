# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage build: build a source package in a container, or check packages built elsewhere.

It imports containers, archives and the floors below.
"""
