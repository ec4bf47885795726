#!/bin/sh
# Make a root, in namespaces of its own, and leave it as a tree or as a tarball.
#
#   make-root.sh WORK SIZE (tree|tar) COMMAND [ARGUMENT...]
#
# WORK is a directory with an empty one, mnt; COMMAND makes the root at WORK/mnt/root. SIZE is
# that of a tmpfs to be mounted on WORK/mnt (mount(8) says how to write it), or "disk" for none:
# in memory dpkg is nearly twice as fast, and the root is written to disk once, in one go.
# WORK/made gets the root, WORK/status a copy of its list of packages.
set -eu
work=$1 size=$2 form=$3
shift 3
umask 022

if [ "$size" != disk ]; then
	mount -t tmpfs -o "size=$size,mode=0755" respin-root "$work/mnt"
fi
"$@"
root=$work/mnt/root
# man-db's cache belongs to the user man, so that a user could not remove the tree with rm.
rm -rf "$root"/var/cache/man/*
cp "$root/var/lib/dpkg/status" "$work/status"

# Devices are the business of whoever enters the root.
rm -rf --one-file-system "${root:?}"/dev/*
if [ "$form" = tar ]; then
	tar --create --file=- --sort=name --directory="$root" --numeric-owner --xattrs \
		'--xattrs-include=*' . >"$work/made"
elif [ "$size" = disk ]; then
	mv "$root" "$work/made"
else
	# Twice as fast as through tar and a pipe, and more (measured).
	cp --archive "$root" "$work/made"
fi
