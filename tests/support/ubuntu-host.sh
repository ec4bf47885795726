#!/bin/sh
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run a command on a machine that is set up as Ubuntu is: ubuntu-host.sh DIRECTORY COMMAND...
#
# DIRECTORY has what such a machine has in /etc/apt (apt) and in /usr/share/keyrings (keyrings),
# and its os-release(5).
set -eu
# In a process namespace of its own, /proc still shows the processes outside it.
if ! grep -q '^NSpid:[[:space:]]*[0-9]*$' /proc/self/status; then
    mount -t proc proc /proc
fi
mount --bind "$1/apt" /etc/apt
mount --bind "$1/keyrings" /usr/share/keyrings
mount --bind "$1/os-release" "$(readlink -f /etc/os-release)"
mount -t tmpfs none /var/lib/apt/lists
shift
exec "$@"
