#!/bin/sh
# Make a root, in namespaces of its own, and leave it as a tree or as a tarball.
#
#   make-root.sh WORK SIZE (tree|tar) TARGET STATUS COMMAND [ARGUMENT...]
#
# WORK is an empty folder; COMMAND makes the root at WORK/root. SIZE is that of a tmpfs to
# be mounted on WORK (mount(8) says how to write it), or "disk" for none: in memory dpkg is
# nearly twice as fast, and the root is written to disk once, in one go. TARGET gets the root,
# STATUS a copy of its list of packages.
set -eu
work=$1 size=$2 form=$3 target=$4 status=$5
shift 5
umask 022

if [ "$size" != disk ]; then
	mount -t tmpfs -o "size=$size,mode=0755" respin-root "$work"
fi
"$@"
# man-db's cache belongs to the user man, so that a user could not remove the tree with rm.
rm -rf "$work"/root/var/cache/man/*
cp "$work/root/var/lib/dpkg/status" "$status"

# Devices are the business of whoever enters the root.
set -- --create --file=- --directory="$work/root" --numeric-owner --xattrs \
	'--xattrs-include=*' --exclude='./dev/*' .
if [ "$form" = tar ]; then
	tar --sort=name "$@" >"$target"
elif [ "$size" = disk ]; then
	mv "$work/root" "$target"
else
	mkdir "$target"
	tar "$@" | tar --extract --file=- --directory="$target" --numeric-owner \
		--preserve-permissions --xattrs '--xattrs-include=*'
fi
