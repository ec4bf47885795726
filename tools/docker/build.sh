#!/bin/sh
# Build the one source package in PATCHED: build.sh PATCHED BUILD FOREIGN
#
# FOREIGN is the architecture to cross-build for, or empty; then the packages that are the same for all
# architectures are not built.
#
# Leaves what dpkg-buildpackage made in BUILD/out; that is empty if there is no source, since
# none was needed. Path, user, umask and environment are those of pipeline/build/build.py, so that
# the packages are the same, byte for byte.
set -eu
patched=$1 build=$2 foreign=$3
umask 022

# Run a command in the environment of every build.
clean() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C.UTF-8 TZ=UTC \
		SOURCE_DATE_EPOCH="$epoch" "$@"
}

mkdir "$build/out"
cd "$build"
for dsc in "$patched"/*.dsc; do
	[ -e "$dsc" ] || exit 0
	name=$(sed -n 's/^Source: //p' "$dsc")
	version=$(sed -n 's/^Version: //p' "$dsc" | sed 's/^[0-9]*://; s/-[^-]*$//')
	tree=$build/$name-$version
	dpkg-source --no-check -x "$dsc" "$tree"
	cp "$dsc" "$build/"
	cd "$tree"
	epoch=$(date -ud "$(dpkg-parsechangelog -SDate)" +%s)
	if [ -n "$foreign" ]; then
		clean CONFIG_SITE="/etc/dpkg-cross/cross-config.$foreign" \
			dpkg-buildpackage -B "-a$foreign" -Pcross,nocheck -us -uc "-j$(nproc)"
		listed=source,any made=any
	else
		clean dpkg-buildpackage -b -us -uc "-j$(nproc)"
		listed=full made=binary
	fi
	# With -b the .buildinfo does not list the source. `respin prove` holds the one that is listed
	# against the one that was patched.
	for info in "$build"/*.buildinfo; do
		set -- ${foreign:+"DEB_HOST_ARCH=$foreign" "DEB_BUILD_PROFILES=cross nocheck"}
		clean "$@" dpkg-genbuildinfo --build="$listed" "-O$info"
		clean "$@" dpkg-genchanges --build="$made" "-O${info%.buildinfo}.changes"
	done
	rm "$build/${dsc##*/}"
done
cd "$build"
find . -maxdepth 1 -type f -exec mv -t out {} +
