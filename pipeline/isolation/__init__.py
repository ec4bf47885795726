# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps a program apart from this machine: namespaces, system calls, rights, the sandbox.

It imports host and the floors below.
"""
