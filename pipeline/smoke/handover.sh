#!/bin/sh
# Maps handed from the tc that loads them to another process, over a UNIX socket (tc-bpf(8)).
#
#   handover.sh OBJECT section NAME
#
# One tc waits for maps and then runs a command, which has each as an open file whose number is
# BPF_MAP<id> in its environment: here it prints what the kernel says of each.
# Another tc loads the object and sends its maps. Where it refuses, its status is ours. One that
# loads by libbpf sends none, and says nothing of it: then the first would wait for ever.
set -eu
# A socket's path has 107 bytes at most: name it from where it is.
cd "${1%/*}"
socket=handover.socket
rm -f $socket
timeout 10 tc exec bpf import $socket run sh -c '
	env | sed -n "s/^BPF_MAP[0-9]*=//p" | while read -r fd; do
		cat "/proc/self/fdinfo/$fd"
	done' &
import=$!
until [ -S $socket ]; do
	kill -0 $import # it has ended: its own words say why
	sleep 0.02
done
status=0
tc filter add dev respin0 ingress bpf direct-action object-file "$1" "$2" "$3" \
	export $socket || status=$?
if [ $status != 0 ]; then
	kill $import
	exit $status
fi
wait $import || status=$?
if [ $status = 124 ]; then
	echo "no maps came within 10 s" >&2
fi
exit $status
