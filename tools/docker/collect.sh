#!/bin/sh
# What is left of it all in the last image: collect.sh RUN DIRECTORY
#
# Leaves DIRECTORY/debs (empty if nothing was to be built), DIRECTORY/patches and DIRECTORY/report.json.
set -eu
run=$1 directory=$2
mkdir -p "$directory/debs" "$directory/patches"
for name in debs patches; do
	from=$run/$name
	[ "$name" = debs ] || from=$run/patched/patches
	[ ! -d "$from" ] || cp -R "$from/." "$directory/$name/"
done
cp "$run/report.json" "$directory/"
