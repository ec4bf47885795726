# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file that is in use is not old, whatever a server says of its age.

apt gives a file the time of the mirror's copy. respin once removed a download of seconds ago while
the run that had fetched it was using it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipeline.config.nightly import Nightly
from pipeline.host.cache import Cache
from pipeline.nightly import prune

DAY = 24 * 3600


@pytest.mark.fault
@pytest.mark.parametrize("settings", [Nightly(), Nightly(cache_size=0)], ids=["age", "size"])
def test_a_download_of_seconds_ago_that_the_server_made_years_ago(
    tmp_path: Path, settings: Nightly
) -> None:
    cache = Cache(tmp_path)
    for kind in prune.KINDS:
        path = cache.directory(kind) / "new"
        path.write_bytes(b"!" * 5000)
        os.utime(path, (0, 0))
        (cache.directory(kind) / "tree").mkdir()
        os.utime(path.with_name("tree"), (0, 0))
    prune.cache(cache, settings)
    assert all((cache.root / kind / "new").exists() for kind in prune.KINDS)
    assert all((cache.root / kind / "tree").exists() for kind in prune.KINDS)
    # The control: nobody uses them for months.
    prune.cache(cache, settings, time.time() + 100 * DAY)
    assert not any(list((cache.root / kind).glob("[!.]*")) for kind in prune.KINDS)
