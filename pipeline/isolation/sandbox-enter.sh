#!/bin/sh
# Start bubblewrap with a filter of system calls, which it takes as an open file.
#
#   sandbox-enter.sh FILTER OPTION... -- COMMAND [ARGUMENT...]
exec 9<"$1"
shift
exec bwrap --seccomp 9 "$@"
