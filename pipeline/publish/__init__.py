# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's packages go into an apt repository, or to an upload queue.

It imports runs and the floors below.
"""
