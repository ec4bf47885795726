# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Call respin on a disk that is nearly full: fullcall.py FOLDER FREE WORDS...

FOLDER is the disk, FREE the bytes that it has left when respin is called. Afterwards it lists on
standard output what is on the disk besides the file that filled it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeline.cli import main

directory, free, words = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
filler = directory / "filler"
with filler.open("wb", buffering=0) as file:
    there = os.statvfs(directory)
    left = there.f_bavail * there.f_bsize - free
    while left > 0:
        left -= file.write(bytes(min(left, 1 << 20)))
try:
    main.main(words)
finally:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != filler:
            print(path.relative_to(directory))
