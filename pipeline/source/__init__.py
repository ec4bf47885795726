# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage fetch: get and verify a source package, or make one from a directory of the user's.

It imports releases, archives and the floors below.
"""
