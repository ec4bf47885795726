#!/bin/sh
# Print the mirror that debootstrap takes by default: default-mirror.sh PROGRAM SCRIPT ARCH SUITE
#
# A script of debootstrap's names a mirror of its own before anything else; one that begins with
# mirror_style leaves it to the program.
set -eu
# shellcheck disable=SC2034 # debootstrap's script reads them
program=$1 ARCH=$3 SUITE=$4
default_mirror() {
	printf '%s\n' "$1"
	exit 0
}
mirror_style() {
	sed -n 's/^DEF_MIRROR="\(.*\)"$/\1/p' "$program"
	exit 0
}
# shellcheck disable=SC1090 # which script it is, the caller says
. "$2"
