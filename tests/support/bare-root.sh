#!/bin/sh
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run a command in a root as on a machine of its own: bare-root.sh ROOT SHARED COMMAND…
# or, after "--outside", beside the root, for what goes into it by chroot itself.
#
# For a mount namespace of its own, by root. SHARED is seen as /srv. It is no chroot: in one, an
# ordinary user can make no user namespace. /dev/kvm belongs to the group kvm, as udev has it.
set -eu
root=$1 shared=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount --bind "$shared" "$root/srv"
[ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf >"$root/etc/resolv.conf"
group=$(sed -n 's/^kvm:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group")
if [ -n "$group" ] && [ -c /dev/kvm ]; then
	mknod --mode=0660 "$root/run/kvm" c 10 232
	chgrp "$group" "$root/run/kvm"
	mount --bind "$root/run/kvm" "$root/dev/kvm"
fi
if [ "$1" = --outside ]; then
	shift
	exec "$@"
fi
# As switch_root(8) does it: a root that is moved over the old one is no chroot.
cd "$root"
mount --move . /
exec chroot . "$@"
