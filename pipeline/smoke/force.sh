#!/bin/sh
# Refusals in a tc -force -batch leave nothing behind, and the batch goes on.
#
#   force.sh BATCH OBJECT section NAME
#
# Each line of BATCH becomes four, which are refused: there is no such file, the file is no object,
# there is no such section, no such program. Then a line loads. The status is 0 only if tc worked on
# every line, and if no object that it refused left a pinned map.
set -eu
lines=$1.lines
while read -r line; do
	echo "${line% object-file *} object-file /nonexistent.o"
	echo "${line% object-file *} object-file $0"
	echo "$line section none"
	echo "$line program none"
done <"$1" >"$lines"
refused=$(grep -c . "$lines")
tc -force -batch "$lines" >"$lines.out" 2>&1 || true
failed=$(grep -c "^Command failed" "$lines.out") || true
if [ "$failed" != "$refused" ]; then
	tail -n 5 "$lines.out" >&2
	echo "tc -force worked on $failed of $refused lines" >&2
	exit 1
fi
for pin in /sys/fs/bpf/tc/globals/*; do
	if [ -e "$pin" ]; then
		echo "an object that was refused left $pin" >&2
		exit 1
	fi
done
head -n 1 "$1" | while read -r line; do
	echo "$line $3 $4"
done >>"$lines"
tc -force -batch "$lines" >"$lines.out" 2>&1 || true
tail -n 20 "$lines.out" >&2
tc filter show dev respin0 ingress | grep -q "handle 0x1 "
