# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What respin is given that it cannot take: tables that tests/adversary/test_inputs.py plays."""
