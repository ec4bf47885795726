# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines: the kernel, the initramfs and QEMU. This package knows no test.

It imports archives and the floors below.
"""
