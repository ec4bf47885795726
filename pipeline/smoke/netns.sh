#!/bin/sh
# The smoke test in namespaces of this machine: a network, mounts and processes of its own, so
# that nothing that is attached or pinned outlives it.
#
#   netns.sh PLAYER PLAN RESULTS
set -eu
# tc asks /proc about the maps that it finds pinned.
mount -t proc proc /proc
mount -t bpf bpf /sys/fs/bpf
exec "$@"
