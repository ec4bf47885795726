# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""apt inside a container: exactly the packages that were resolved, from verified archives.

The container's own archives are not asked: what is installed comes from those that the
packages were resolved in, by the same keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.archives import credentials, openpgp
from pipeline.config import limits
from pipeline.containers.base import Container, User
from pipeline.errors import BuildError, UsageError
from pipeline.model import AptSource, Package, Release
from pipeline.text.address import Address

FOLDER = "/var/lib/iproute2-respin"
"""Where archives and keys lie while packages are installed."""


def check_release(fields: Mapping[str, str], release: Release, what: str) -> None:
    """Raise UsageError if the fields of an os-release(5) are of another release than that."""
    name = fields.get("PRETTY_NAME") or fields.get("NAME") or "a system that does not say its name"
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
            hint="give the release that it is of, or an image of the one that you want",
        )


def install(
    box: Container, sources: Sequence[AptSource], key: Sequence[Package], log: Path
) -> None:
    """Install exactly these packages in a container that has the network.

    Raises BuildError if apt cannot, UsageError for an archive that is not seen from inside.
    """
    for source in sources:
        if not source.uri.startswith(("http:", "https:")):
            raise UsageError(
                f"{source.uri} cannot be seen from inside an image",
                hint="--image scratch makes a root from it in its place",
            )
    try:
        box.call(["mkdir", "-p", FOLDER], user=User.ROOT)
        inside = [_with_key(box, i, source) for i, source in enumerate(sources)]
        stanzas = "\n".join(source.stanza(types="deb") for source in inside)
        box.call(["tee", f"{FOLDER}/release.sources"], user=User.ROOT, stdin=stanzas.encode())
        # On standard input: nobody sees it in the list of processes. It goes before the build.
        put = f"umask 077; cat > {FOLDER}/auth.conf; chown _apt {FOLDER}/auth.conf || :"
        known = (Address(s.uri, credentials.of(s.uri)) for s in sources)
        box.call(["sh", "-c", put], user=User.ROOT, stdin=credentials.text(known).encode())
        options = [
            f"-oDir::Etc::SourceList={FOLDER}/release.sources",
            "-oDir::Etc::SourceParts=/dev/null",
            f"-oDir::Etc::netrc={FOLDER}/auth.conf",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=3",
            "-oDpkg::Options::=--force-unsafe-io",
            "-oDpkg::Options::=--force-confdef",
        ]
        argv = ["apt-get", "-q", "-y", *options]
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        hint = "the archive may have changed in between: run it again"
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
                *(f"{p.name}={p.version}" for p in key),
            ],
            user=User.ROOT,
            env=env,
            timeout=limits.LIMITS.files,
            log=log,
            brief="the build dependencies could not be installed in the image",
            hint=hint,
        )
    finally:
        box.call(["rm", "-rf", FOLDER], user=User.ROOT, check=False)


def _with_key(box: Container, number: int, source: AptSource) -> AptSource:
    """Copy a source's keys into the container; return the source with them."""
    if source.gpgv is not None:
        raise BuildError(
            f"{source.uri} is signed by keys that have expired, which apt in an image refuses",
            hint="--image scratch makes a root from it in its place",
        )
    suffix = source.keyring.suffix or ".gpg"
    path = Path(f"{FOLDER}/{number}{suffix}")
    box.call(["tee", path], user=User.ROOT, stdin=openpgp.keyring(source.keyring))
    return replace(source, keyring=path, also=())
