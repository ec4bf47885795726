#!/bin/sh
# Run one command in place, with nothing of the caller's environment.
#
#   host-enter.sh FOLDER UID NAME=VALUE... COMMAND [ARGUMENT...]
#
# Nothing of a command of the build's user outlives it: all processes of that user are killed
# in the end, and nobody else has its number.
folder=$1 uid=$2
shift 2
umask 022
cd "$folder" || exit 125
[ "$uid" != 0 ] || exec env -i "$@"
drop="setpriv --no-new-privs --reuid=$uid --regid=$uid --clear-groups"
$drop env -i "$@"
status=$?
$drop sh -c 'kill -KILL -1' 2>/dev/null
exit "$status"
