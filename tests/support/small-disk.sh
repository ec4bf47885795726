#!/bin/sh
# Run a command with a small disk mounted on a folder: small-disk.sh FOLDER SIZE COMMAND...
set -eu
mount -t tmpfs -o "size=$2,mode=0755" small "$1"
shift 2
exec "$@"
