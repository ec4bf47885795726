# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases of Debian and Ubuntu: names, suites, mirrors, and the end of their support.

It imports archives and the floors below.
"""
