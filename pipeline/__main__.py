# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``python3 -m pipeline`` is ``respin``."""

from pipeline.cli.main import main

main()
