#!/bin/sh
# Install the packages in a directory and let them speak: install.sh DEBS
#
# With no package there (the distro's own needs no fix) it is the distro's that is installed. Of another
# architecture, nothing is, and the image has no tc: the classic builder comes here on its way to the
# result, so this must not fail.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
architecture=$(dpkg --print-architecture)
for deb in "$1"/iproute2_*.deb; do
	case $deb in
	*"_$architecture.deb" | *"*.deb") ;;
	*)
		echo "respin: ${deb##*/} is not installed: this image is of $architecture" >&2
		exit 0
		;;
	esac
done
set -- "$1"/iproute2_*.deb
[ -e "$1" ] || set -- iproute2
apt-get install -q -y --no-install-recommends "$1"
dpkg-query --show iproute2
tc -V
ip -V
