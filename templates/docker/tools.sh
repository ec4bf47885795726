#!/bin/sh
# Install what the pipeline needs, in one go: tools.sh RESPIN
#
# RESPIN/packages.txt is what any machine needs, RESPIN/tools/packages.txt what this image does.
set -eu
list=$1/tools/list
apt-get update -q
sed -E '/ (nightly|setup)$/d' "$1/packages.txt" "$1/tools/packages.txt" >"$list"
# For an Ubuntu release; not every mirror of Debian has it, and Debian needs it not.
[ -z "$(apt-cache search --names-only '^ubuntu-keyring$')" ] || echo ubuntu-keyring >>"$list"
sh "$1/tools/install-packages" "$list"
rm -rf "$list" /var/lib/apt/lists/* /var/cache/apt/*.bin
