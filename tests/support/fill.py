"""Fill the disk that a container writes to: fill.py TREE SCRATCH.

Prints the statuses of writing a small file, a big one, whether the reason was said, and the
status of a command afterwards.
"""

import sys
from pathlib import Path

from pipeline.containers.unshare import Unshare

with Unshare(Path(sys.argv[1]), Path(sys.argv[2])) as box:
    small = box.call(["head", "-c1000", "/dev/zero"], check=False).status
    big = box.call(["dd", "if=/dev/zero", "of=/build/big", "bs=1M", "count=20"], check=False)
    after = box.call(["rm", "/build/big"], check=False).status
    print(small, big.status, b"No space left on device" in big.stderr, after)
