#!/bin/sh
# Run one command in a root, in namespaces that are already entered.
#
#   enter.sh TREE SCRATCH (overlay|copy) (net|nonet) UID FOLDER [SHARED INSIDE]... -- COMMAND...
#
# TREE is never changed: what the command writes goes to SCRATCH, by an overlay, or by a copy
# of TREE in SCRATCH/copy where no overlay can be had. SHARED is a folder of the host's that
# is seen as INSIDE. SCRATCH/entered is there afterwards if all was ready for the command, so
# that a failure of ours is never taken for one of the command's.
set -eu
tree=$1 scratch=$2 way=$3 net=$4 uid=$5 folder=$6
shift 6

# The caller's umask is no business of the package's.
umask 022

# Paths in overlay's options are relative, because a comma or a colon has a meaning there.
cd "$scratch"
if [ "$way" = overlay ]; then
	mount --bind "$tree" lower
	# Overlay's own attributes: trusted ones are only for root of the whole machine.
	read -r _ first _ </proc/self/uid_map
	read -r _ _ count </proc/self/uid_map
	[ "$first $count" = "0 4294967295" ] && attributes= || attributes=,userxattr
	mount -t overlay respin -o "lowerdir=lower,upperdir=upper,workdir=work$attributes" root
else
	mount --bind copy root
fi

mount -t proc -o nosuid,nodev,noexec proc root/proc
mount -t tmpfs -o mode=0755,nosuid dev root/dev
for device in null zero full random urandom tty; do
	: >"root/dev/$device"
	mount --bind "/dev/$device" "root/dev/$device"
done
mkdir root/dev/shm root/dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts root/dev/pts
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
ln -s /proc/self/fd/0 root/dev/stdin
ln -s /proc/self/fd/1 root/dev/stdout
ln -s /proc/self/fd/2 root/dev/stderr

while [ "$1" != -- ]; do
	mkdir -p "root$2"
	mount --bind "$1" "root$2"
	shift 2
done
shift
if [ "$net" = net ] && [ -e /etc/resolv.conf ]; then
	[ -e root/etc/resolv.conf ] || : >root/etc/resolv.conf
	mount --bind /etc/resolv.conf root/etc/resolv.conf
fi

: >entered
# These are the host's programs, since an old root may lack setpriv. The build's user keeps
# no group of ours and can gain no privilege from a set-user-id program of the root.
if [ "$uid" = 0 ]; then
	exec unshare "--root=root" "--wd=$folder" --setgid=0 --setuid=0 -- env -i "$@"
fi
exec setpriv --no-new-privs \
	unshare "--root=root" "--wd=$folder" "--setgid=$uid" "--setuid=$uid" -- env -i "$@"
