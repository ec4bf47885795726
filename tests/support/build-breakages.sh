#!/bin/sh
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In the build container: build tc and ip once, then tc again with each broken source in place.
#
#   build-breakages.sh NAME...    in the source tree; ../NAME.c goes over lib/$(cat ../NAME.file)
set -eu
./configure >/dev/null
make -j2 SUBDIRS="lib ip tc" >/dev/null
cp tc/tc ../sound.tc
cp ip/ip ../sound.ip
for name in "$@"; do
	file=lib/$(cat "../$name.file")
	cp "$file" ../saved
	cp "../$name.c" "$file"
	make SUBDIRS="lib tc" >/dev/null
	cp tc/tc "../$name.tc"
	cp ../saved "$file"
done
