# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases of Debian and Ubuntu: names, suites, mirrors, and when their support ends.

It imports archives and the floors below.
"""
