#!/bin/sh
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A tc that does in some cases of the smoke test what no tc should, and is sound in all others.
case "$*" in
*/array-tc.o*) /respin/agent insmod /sbin/oops.ko ;;   # an oops: the guest is gone
*/no-map-tc.o*) kill -s SEGV $$ ;;                  # it crashes
*/mark-tc.o*) yes x | head -c 100000000; exit 1 ;;  # it prints 100 MB
*/drop-tc.o*) trap '' TERM; while :; do sleep 1; done ;;  # it hangs, and ignores SIGTERM
*/redirect-tc.o*) exec perl -e 'push @x, "x" x 1e7 for 1..200' ;;  # it takes more memory than there is
esac
exec /sbin/tc.sound "$@"
