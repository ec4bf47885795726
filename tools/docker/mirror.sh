#!/bin/sh
# Let apt of this image use another mirror: mirror.sh [URI]
#
# Without URI the image's own apt configuration stays, which is right for an image of yours.
# URI takes the place of the distro's archive; Debian's security archive is taken to lie
# beside it (…/debian-security beside …/debian), as it does on its mirrors.
set -eu
uri=${1%/}
[ -n "$uri" ] || exit 0
# It becomes a word of apt's lists, by sed: no blank, no second field, nothing that sed obeys.
case $uri in
[a-z]*:/*) ;;
*) uri= ;;
esac
case $uri in
"" | *[!A-Za-z0-9.:/@%+,=~_-]*)
	echo "respin: a mirror is an address such as http://mirror.example.org/debian" >&2
	exit 2
	;;
esac
find /etc/apt/sources.list /etc/apt/sources.list.d -type f 2>/dev/null | while read -r file; do
	sed -i -E -e "s#[a-z+]+:/+[^] ]+/(debian|ubuntu)/?( |\$)#$uri\\2#g" \
		-e "s#[a-z+]+:/+[^] ]+/debian-security/?( |\$)#$uri-security\\1#g" "$file"
done
