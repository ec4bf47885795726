# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unattended runs of many releases: watch, plan, run, publish, show. Read night.py first.

It imports run.py, publish and the floors below.
"""
