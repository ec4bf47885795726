# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a .dsc with a cache in the given directory: build-on.py DSC FOLDER LOGS.

It prints "built", or the error.
"""

import signal
import sys
from pathlib import Path

from pipeline.build import build
from pipeline.errors import BuildError
from pipeline.host.cache import Cache
from pipeline.host.progress import QUIET
from support import real

# A shell that starts the tests in the background makes them ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
dsc, directory, logs = map(Path, sys.argv[1:])
root = real.root()
try:
    build.build(
        root,
        dsc,
        "1.0",
        1420070400,
        directory / "out",
        cache=Cache(directory),
        log_dir=logs,
        stage=QUIET,
    )
    print("built")
except BuildError as e:
    print(e.brief)
    print(e.details)
