#!/bin/sh
# Let apt of this image use another mirror: mirror.sh [URI]
#
# Without URI the image's own apt configuration stays, which is right for an image of yours.
# URI takes the place of the distro's archive; Debian's security archive is taken to lie
# beside it (…/debian-security beside …/debian), as it does on its mirrors.
set -eu
uri=${1%/}
[ -n "$uri" ] || exit 0
find /etc/apt/sources.list /etc/apt/sources.list.d -type f 2>/dev/null | while read -r file; do
	sed -i -E -e "s#[a-z+]+:/+[^] ]+/(debian|ubuntu)/?( |\$)#$uri\\2#g" \
		-e "s#[a-z+]+:/+[^] ]+/debian-security/?( |\$)#$uri-security\\1#g" "$file"
done
