#!/bin/sh
# Install the packages in a directory and let them speak: install.sh DEBS
#
# With no package there (the distro's own needs no fix) it is the distro's that is installed.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
set -- "$1"/iproute2_*.deb
[ -e "$1" ] || set -- iproute2
apt-get install -q -y --no-install-recommends "$1"
dpkg-query --show iproute2
tc -V
ip -V
