#!/bin/sh
# Install what the pipeline needs, in one go: tools.sh RESPIN
#
# RESPIN/packages.txt is what any machine needs; what only `respin nightly` needs is left out.
set -eu
list=$1/tools/list
apt-get update -q
sed -e '/ nightly$/d' "$1/packages.txt" >"$list"
# For the signature of a source package that no index vouches for any more.
echo debian-keyring >>"$list"
# For an Ubuntu release; not every mirror of Debian has it, and Debian needs it not.
[ -z "$(apt-cache search --names-only '^ubuntu-keyring$')" ] || echo ubuntu-keyring >>"$list"
sh "$1/tools/install-packages" "$list"
rm -rf "$list" /var/lib/apt/lists/* /var/cache/apt/*.bin
