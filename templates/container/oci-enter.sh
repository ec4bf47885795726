#!/bin/sh
# Run one command in a container of Docker or podman.
#
#   oci-enter.sh MARK FOLDER NAME=VALUE... COMMAND [ARGUMENT...]
#
# Nothing of the command outlives it: the whole container is this command's alone, so all
# that this user may signal is killed in the end. MARK is there afterwards if it came to its
# end, so that a failure of the engine is never taken for one of the command's.
mark=$1 folder=$2
shift 2
# The caller's umask is no business of the package's.
umask 022
status=125
if cd "$folder"; then
	env -i "$@"
	status=$?
fi
# All processes but this one and process 1 (kill(2)); "--" is not known to every sh.
kill -KILL -1 2>/dev/null
: >"$mark"
exit "$status"
