# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What one run consists of: its request, stages, directory, report and lock file.

It imports every stage and the floors below.
"""
