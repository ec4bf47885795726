# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives of packages: whose index is believed, which files it lists, how they are downloaded.

It imports isolation, host, config and the floors below.
"""
