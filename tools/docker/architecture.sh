#!/bin/sh
# Print Debian's name of the packages' architecture: architecture.sh ARCHITECTURE [TARGETARCH [VARIANT]]
#
# ARCHITECTURE is what the user says. TARGETARCH and VARIANT are Docker's names, which BuildKit sets
# from --platform. Prints nothing if it is this machine's own.
set -eu
name=$1
[ -n "$name" ] || case ${2:-}${3:-} in
"") name=$(dpkg --print-architecture) ;;
armv7 | arm) name=armhf ;;
arm64*) name=arm64 ;;
386) name=i386 ;;
ppc64le) name=ppc64el ;;
*) name=$2 ;;
esac
case $name in
amd64 | arm64 | armhf | i386 | ppc64el | riscv64 | s390x) ;;
*)
	echo "respin: $name is none of amd64, arm64, armhf, i386, ppc64el, riscv64, s390x" >&2
	exit 2
	;;
esac
[ "$name" = "$(dpkg --print-architecture)" ] || echo "$name"
