# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine gives: processes, the cache, temporary directories, the project's own data.

It imports files and the floors below.
"""
