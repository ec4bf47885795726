# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Smoke-test a package with a cache on this disk; the guest's image is in the tests' cache."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.host.cache import Cache
from pipeline.smoke import smoke
from pipeline.smoke.cases import select
from support import real

deb, directory = Path(sys.argv[1]), Path(sys.argv[2])
image = smoke.prepare(real.archive(), real.cache(), log_dir=directory / "logs")
try:
    smoke.smoke(
        image,
        before=[deb],
        after=(),
        turned={},
        lacks=None,
        cases=select(["no-map"]),
        cache=Cache(directory),
        log_dir=directory / "logs",
    )
except RespinError as e:
    print(e.brief, e.hint, e.details, file=sys.stderr)
    sys.exit(e.exit_code)
