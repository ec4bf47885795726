#!/bin/sh
# Build the one source package in PATCHED: build.sh PATCHED BUILD
#
# Leaves what dpkg-buildpackage made in BUILD/out; that is empty if there is no source, since
# none was needed. Path, user, umask and environment are those of pipeline/build.py, so that
# the packages are the same, byte for byte.
set -eu
patched=$1 build=$2
umask 022
mkdir "$build/out"
cd "$build"
for dsc in "$patched"/*.dsc; do
	[ -e "$dsc" ] || exit 0
	name=$(sed -n 's/^Source: //p' "$dsc")
	version=$(sed -n 's/^Version: //p' "$dsc" | sed 's/^[0-9]*://; s/-[^-]*$//')
	tree=$build/$name-$version
	dpkg-source --no-check -x "$dsc" "$tree"
	cd "$tree"
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C.UTF-8 TZ=UTC \
		SOURCE_DATE_EPOCH="$(date -ud "$(dpkg-parsechangelog -SDate)" +%s)" \
		dpkg-buildpackage -b -us -uc "-j$(nproc)"
done
cd "$build"
find . -maxdepth 1 -type f -exec mv -t out {} +
