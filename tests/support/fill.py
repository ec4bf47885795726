# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fill the disk that a container writes to: fill.py KIND TREE CACHE.

It prints the statuses of writing a small file and a big one, whether the reason was given, and
the status of a command afterwards.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.containers import Container
from pipeline.containers.host import Host
from pipeline.containers.unshare import Unshare
from pipeline.host import command
from pipeline.host.cache import Cache


def fill(box: Container, directory: str, megabytes: int) -> list[object]:
    """Write more into a directory of a container than fits."""
    small = box.call(["head", "-c1000", "/dev/zero"], check=False).status
    argv = ["dd", "if=/dev/zero", f"of={directory}/big", "bs=1M", f"count={megabytes}"]
    big = box.call(argv, check=False)
    after = box.call(["rm", f"{directory}/big"], check=False).status
    return [small, big.status, b"No space left on device" in big.stderr, after]


@contextlib.contextmanager
def on_build(size: str) -> Iterator[None]:
    """Mount a small disk on /build, which is the host's if the container is the host itself."""
    command.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "small", "/build"])
    try:
        yield
    finally:
        command.run(["umount", "/build"])


if __name__ == "__main__":
    if sys.argv[1] == "host":
        with Host() as box, on_build("8m"):
            print(json.dumps(fill(box, "/build", 20)))
    else:
        with Unshare(Path(sys.argv[2]), Cache(Path(sys.argv[3]))) as walled:
            print(json.dumps(fill(walled, "/build", 20)))
