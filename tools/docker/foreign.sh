#!/bin/sh
# Install what the proof of packages for another architecture needs: foreign.sh RESPIN ARCHITECTURE
#
# QEMU of that architecture, a cross compiler and its C library, as pipeline/vm/machine.py says.
set -eu
list=$1/tools/list
python3 - "$2" >"$list" <<'END'
import sys

from pipeline.vm.machine import machine_for

for package, shown_by in machine_for(sys.argv[1]).needs.items():
    print(package, shown_by)
END
sh "$1/tools/install-packages" "$list"
rm -rf "$list" /var/lib/apt/lists/* /var/cache/apt/*.bin
