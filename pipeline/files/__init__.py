# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that others may have made, read within bounds; files and directories that are ours alone.

It imports text, model and errors.
"""
