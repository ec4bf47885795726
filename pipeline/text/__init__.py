# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What others wrote, made safe to show or to write into a language; addresses without credentials.

It imports errors.
"""
