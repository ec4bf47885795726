#!/bin/sh
# Make a build root of the release's own image: prepare.sh BUILD-DEPENDS
#
# BUILD-DEPENDS is what handover.sh left. Refuses an image of another release than that, and
# one without apt. Installs what pipeline/build/build.py has in its roots, but for ccache; for
# another architecture also its cross compiler, and the build dependencies that it links with.
set -eu
directory=$1
refuse() {
	echo "respin: $*" >&2
	exit 13
}

read -r codename number <"$directory/release"
read -r foreign <"$directory/foreign"
[ -r /etc/os-release ] || refuse "the base image does not say which release it is (/etc/os-release)"
PRETTY_NAME= VERSION= VERSION_ID= VERSION_CODENAME=
. /etc/os-release
# Debian's testing and unstable say only "forky/sid"; Debian 8 has no VERSION_CODENAME.
case "$VERSION_CODENAME $VERSION_ID $PRETTY_NAME $VERSION" in
"$codename "* | *" $number "* | *"($codename)"* | *[\ /]"$codename"*) ;;
*) refuse "the base image is of $PRETTY_NAME, not of $codename: name another one with BASE" ;;
esac
command -v apt-get >/dev/null || refuse "the base image has no apt-get: name another one with BASE"

# The user who builds has a name, as in every other container of the pipeline.
echo build:x:65533:65533:build:/nonexistent:/usr/sbin/nologin >>/etc/passwd
echo build:x:65533: >>/etc/group
install -d --owner=65533 --group=65533 /build

[ -e "$directory/debian/control" ] || exit 0
export DEBIAN_FRONTEND=noninteractive
[ -z "$foreign" ] || dpkg --add-architecture "$foreign"
apt-get update -q
if [ -n "$foreign" ]; then
	apt-get install -q -y --no-install-recommends "crossbuild-essential-$foreign" ||
		refuse "$codename cannot cross-build for $foreign here: see what apt said"
	set -- --host-architecture="$foreign" --build-profiles=cross,nocheck
else
	set --
fi
# A base image's archives have no deb-src, which build-dep of a directory does not need.
apt-get build-dep -q -y --no-install-recommends "$@" "$directory" ||
	refuse "apt cannot install the build dependencies here${foreign:+; for $foreign, each archive of the base image must have that architecture, and bookworm-security, for one, has no s390x}"
rm -rf /var/lib/apt/lists/*
