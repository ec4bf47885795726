# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage: a source package is fetched and verified, or made from a directory of the user's.

It imports releases, archives and the floors below.
"""
