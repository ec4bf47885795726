#!/bin/sh
# Make a build root of the release's own image: prepare.sh BUILD-DEPENDS
#
# BUILD-DEPENDS is what handover.sh left. Refuses an image of another release than that, and
# one without apt. Installs what pipeline/build/build.py has in its roots, but for ccache.
set -eu
directory=$1
refuse() {
	echo "respin: $*" >&2
	exit 13
}

read -r codename number <"$directory/release"
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
apt-get update -q
# A base image's archives have no deb-src, which build-dep of a directory does not need.
apt-get build-dep -q -y --no-install-recommends "$directory"
rm -rf /var/lib/apt/lists/*
