#!/bin/sh
# What is left of it all in the last image: collect.sh RUN FOLDER
#
# Leaves FOLDER/debs (empty if nothing was to be built), FOLDER/patches and FOLDER/report.json.
set -eu
run=$1 folder=$2
mkdir -p "$folder/debs" "$folder/patches"
for name in debs patches; do
	from=$run/$name
	[ "$name" = debs ] || from=$run/patched/patches
	[ ! -d "$from" ] || cp -R "$from/." "$folder/$name/"
done
cp "$run/report.json" "$folder/"
