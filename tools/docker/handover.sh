#!/bin/sh
# What the stages after this one get of a run: handover.sh RUN DIRECTORY FOREIGN
#
# Leaves DIRECTORY/patched, the patched source package, empty if none was needed, and
# DIRECTORY/build-depends: `release` (its codename and its number), `foreign` (the architecture to
# cross-build for, empty if it is this machine's) and debian/control with the build dependencies, and
# nothing that another version of the source would change. Docker keeps the layer that installs
# them for as long as it stays the same.
set -eu
run=$1 directory=$2 foreign=$3
mkdir -p "$directory/patched" "$directory/build-depends"
echo "$foreign" >"$directory/build-depends/foreign"
python3 - "$run/report.json" >"$directory/build-depends/release" <<'END'
import json, sys

release = json.load(open(sys.argv[1]))["source"]["release"]
print(release["codename"], release["version"] or "-")
END
for dsc in "$run"/patched/*.dsc; do
	[ -e "$dsc" ] || exit 0
	find "$run/patched" -maxdepth 1 -type f -exec cp -t "$directory/patched" {} +
	mkdir "$directory/build-depends/debian"
	{
		echo "Source: iproute2"
		# dpkg-source writes each on a line of its own. apt sees to build-essential itself.
		grep -E '^Build-(Depends|Conflicts)(-Arch|-Indep)?:' "$dsc" |
			sed 's/^Build-Depends: /&fakeroot, /'
		printf '\nPackage: iproute2\nArchitecture: any\n'
	} >"$directory/build-depends/debian/control"
done
