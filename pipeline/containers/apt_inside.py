# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""apt inside a container: install exactly the resolved packages, from verified archives.

The container's own archives are not used: packages come from the archives in which they were
resolved, verified by the same keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.archives import credentials, openpgp
from pipeline.config import limits
from pipeline.containers import multiarch
from pipeline.containers.base import Container, User
from pipeline.errors import BuildError, UsageError
from pipeline.model import AptSource, Package, Release
from pipeline.text.address import Address

DIRECTORY = "/var/lib/iproute2-respin"
"""Where archives and keys are while packages are installed."""


def check_release(fields: Mapping[str, str], release: Release, what: str) -> None:
    """Raise UsageError if the fields of an os-release(5) name another release."""
    name = fields.get("PRETTY_NAME") or fields.get("NAME") or "a system without a name"
    words = re.findall(r"[\w.]+", f"{name} {fields.get('VERSION', '')}".lower())
    # Testing and unstable both say "forky/sid"; Debian 8 has no codename of its own.
    unclear = "VERSION_ID" not in fields or "VERSION_CODENAME" not in fields
    same = fields.get("VERSION_CODENAME") == release.codename or (
        unclear
        and (release.codename in words or fields.get("VERSION_ID") == (release.version or "-"))
    )
    if fields.get("ID") != release.distro or not same:
        raise UsageError(
            f"{what} is {name}, not {release.distro} {release.codename}",
            hint="choose the release that it runs, or an image of the release that you want",
        )


def install(
    box: Container, sources: Sequence[AptSource], key: Sequence[Package], log: Path
) -> None:
    """Install exactly these packages in a container that has the network.

    If some are of a foreign architecture, its dpkg learns of that first.

    Raises BuildError if apt fails, UsageError for an archive that is not visible inside.
    """
    for source in sources:
        if not source.uri.startswith(("http:", "https:")):
            raise UsageError(
                f"{source.uri} is not accessible from inside an image",
                hint="use --image scratch, which makes a root from it instead",
            )
    try:
        box.call(["mkdir", "-p", DIRECTORY], user=User.ROOT)
        inside = [_with_key(box, i, source) for i, source in enumerate(sources)]
        stanzas = "\n".join(source.stanza(types="deb") for source in inside)
        box.call(["tee", f"{DIRECTORY}/release.sources"], user=User.ROOT, stdin=stanzas.encode())
        # On standard input nobody sees it in the process list. It is removed before the build.
        put = f"umask 077; cat > {DIRECTORY}/auth.conf; chown _apt {DIRECTORY}/auth.conf || :"
        known = (Address(s.uri, credentials.of(s.uri)) for s in sources)
        box.call(["sh", "-c", put], user=User.ROOT, stdin=credentials.text(known).encode())
        options = [
            f"-oDir::Etc::SourceList={DIRECTORY}/release.sources",
            "-oDir::Etc::SourceParts=/dev/null",
            f"-oDir::Etc::netrc={DIRECTORY}/auth.conf",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=3",
            "-oDpkg::Options::=--force-unsafe-io",
            "-oDpkg::Options::=--force-confdef",
        ]
        argv = ["apt-get", "-q", "-y", *options]
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        hint = "the archive may have changed meanwhile; run respin again"
        for each in multiarch.foreign(key):
            box.call(["dpkg", "--add-architecture", each], user=User.ROOT)
        box.call(
            [*argv, "update"],
            user=User.ROOT,
            env=env,
            timeout=limits.LIMITS.update,
            log=log,
            brief="apt-get update failed",
            hint=hint,
        )
        box.call(
            [
                *(*argv, "install", "--no-install-recommends", "--allow-downgrades", "--"),
                *multiarch.named(key),
            ],
            user=User.ROOT,
            env=env,
            timeout=limits.LIMITS.files,
            log=log,
            brief="apt could not install the build dependencies in the image",
            hint=hint,
        )
    finally:
        box.call(["rm", "-rf", DIRECTORY], user=User.ROOT, check=False)


def _with_key(box: Container, number: int, source: AptSource) -> AptSource:
    """Copy a source's keys into the container; return the source with them."""
    if source.gpgv is not None:
        raise BuildError(
            f"{source.uri} is signed by expired keys, which apt in an image refuses",
            hint="use --image scratch, which makes a root from it instead",
        )
    suffix = source.keyring.suffix or ".gpg"
    path = Path(f"{DIRECTORY}/{number}{suffix}")
    box.call(["tee", path], user=User.ROOT, stdin=openpgp.keyring(source.keyring))
    return replace(source, keyring=path, also=())
