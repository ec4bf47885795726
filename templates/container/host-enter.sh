#!/bin/sh
# Run one command in place, with nothing of the caller's environment.
#
#   host-enter.sh (own|shared) FOLDER UID NAME=VALUE... COMMAND [ARGUMENT...]
#
# own: in process and mount namespaces that end with the command, and all that it started.
# shared: where none can be had, which is allowed only in a container. There nothing else
# has the number of the build's user, and what it left behind is killed by that.
way=$1 folder=$2 uid=$3
shift 3
umask 022
[ "$way" != own ] || mount -t proc -o nosuid,nodev,noexec proc /proc || exit 125
cd "$folder" || exit 125
[ "$uid" != 0 ] || exec env -i "$@"
drop="setpriv --no-new-privs --reuid=$uid --regid=$uid --clear-groups"
$drop env -i "$@"
status=$?
[ "$way" = own ] || $drop sh -c 'kill -KILL -1' 2>/dev/null
exit "$status"
