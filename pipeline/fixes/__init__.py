# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixes: what a source needs, and the patch that is made for just that source.

It imports archives and the floors below.
"""
