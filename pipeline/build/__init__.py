# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage: a source package becomes .debs in a container, or others' .debs are checked.

It imports containers, archives and the floors below.
"""
