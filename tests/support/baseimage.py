# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A substitute for the official image of Debian 12 where no registry can be reached."""

from __future__ import annotations

from pipeline.containers import images
from pipeline.containers.oci_engine import LABEL, OciEngine
from support import real

# The official images have it, too: dpkg need not wait for the disk in an image.
FROM = (
    "FROM {image}\n"
    "LABEL {label}=test\n"
    "RUN echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/docker-apt-speedup\n"
    'CMD ["bash"]\n'
)


def bookworm(docker: OciEngine, name: str) -> str:
    """Make the image ``name``: apt, Essential packages, the machine's mirror; return its id."""
    plain = images.imported(docker, real.small(), real.archive().release, real.cache())
    text = FROM.format(image=plain, label=LABEL).encode()
    docker.call("image", "build", "--network=host", f"--tag={name}", "-", stdin=text)
    return docker.call("image", "inspect", "--format={{.Id}}", name).text.strip()
