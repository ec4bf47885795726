#!/bin/sh
# Run one command in a container of Docker or podman.
#
#   oci-enter.sh MARK DIRECTORY BLOCKS NAME=VALUE... COMMAND [ARGUMENT...]
#
# BLOCKS, of 512 bytes, are what a file may have. (The option --ulimit of podman's would take
# back what its configuration says of others.)
#
# Nothing of the command outlives it: the whole container is this command's alone, so all
# that this user may signal is killed in the end. MARK is there afterwards if it came to its
# end, so that a failure of the engine is never taken for one of the command's.
mark=$1 directory=$2 blocks=$3
shift 3
# The caller's umask is no business of the package's.
umask 022
ulimit -f "$blocks" 2>/dev/null
# shellcheck disable=SC3045 # dash, bash and busybox know it, though POSIX does not
ulimit -c 0
status=125
if cd "$directory"; then
	env -i "$@"
	status=$?
fi
# All processes but this one and process 1 (kill(2)); "--" is not known to every sh.
kill -KILL -1 2>/dev/null
: >"$mark"
exit "$status"
