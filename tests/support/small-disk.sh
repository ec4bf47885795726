#!/bin/sh
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run a command with a small disk mounted on a directory: small-disk.sh DIRECTORY SIZE COMMAND...
set -eu
# In a process namespace of its own, /proc still shows the processes outside it.
if ! grep -q '^NSpid:[[:space:]]*[0-9]*$' /proc/self/status; then
    mount -t proc proc /proc
fi
mount -t tmpfs -o "size=$2,mode=0755" small "$1"
shift 2
exec "$@"
