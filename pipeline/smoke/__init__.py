# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage: packages are tried in a virtual machine, the distro's before ours.

It imports vm, containers and the floors below.
"""
