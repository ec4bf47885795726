#!/bin/sh
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In the build container: build tc with AddressSanitizer and UndefinedBehaviorSanitizer, then again
# with a broken lib/bpf_legacy.c.
#
#   build-sanitized.sh    in the source tree; ../broken.c is the other source, ../sanitized.c is
#                         linked in; makes ../sound.tc and ../broken.tc
set -eu
options="-O1 -g -w -fsanitize=address,undefined -fno-sanitize-recover"
./configure >/dev/null
gcc -O1 -g -Wall -Werror -Iinclude/uapi -c -o ../sanitized.o ../sanitized.c
# From the environment, make takes what the makefiles add to. With its own copy of the sanitizers'
# library, tc also runs where this compiler is not installed.
export LDFLAGS="$options -static-libasan -static-libubsan -Wl,--wrap=elf_begin,--wrap=mempcpy"
LDFLAGS="$LDFLAGS $PWD/../sanitized.o"
build() {
	make -j2 SUBDIRS="lib tc" TCSO= CCOPTS="$options" >/dev/null
	cp tc/tc "../$1.tc"
}
build sound
cp ../broken.c lib/bpf_legacy.c
build broken
