# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage smoke: test packages in a virtual machine, first the distro's and then the new ones.

It imports vm, containers and the floors below.
"""
