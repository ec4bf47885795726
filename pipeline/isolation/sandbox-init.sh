#!/bin/sh
# Process 1 of a process namespace: runs one command and ends with its status.
#
#   sandbox-init.sh COMMAND [ARGUMENT...]
#
# The kernel does not deliver SIGTERM to a process 1 that has no handler for it, so that a
# program started as process 1 could not be asked to stop. When this one ends, whatever is
# left in the namespace is killed and its mounts are gone.
trap 'exit 143' TERM INT HUP
# A background command of a shell reads /dev/null; this one is to read what we read.
exec 3<&0
"$@" <&3 3<&- &
exec 3<&- </dev/null
wait $!
