# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of bad input for respin, which tests/adversary/test_inputs.py plays."""
