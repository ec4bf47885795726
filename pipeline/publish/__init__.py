# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Publish a run's packages in an apt repository, or upload its source to a build farm.

It imports runs and the floors below.
"""
