# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives that have all that a whole run needs: a release's packages, and our own sources.

The packages are Debian 12's. Our archive lists and signs them; a request for one of them is
redirected to the mirror that this machine uses.
"""

from __future__ import annotations

import contextlib
import functools
import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.archives import keyrings
from pipeline.build import build, ccache
from pipeline.host.resources import package_data
from pipeline.model import AptSource, Package, Release
from support import real
from support.archive import Archive, Signer

KERNEL = "linux-image-cloud-amd64"
SHARED = (
    *("ccache", "corpora", "downloads", "guests", "kvm", "locks", "objects", "programs"),
    *("root-tars", "roots", "self-checks", "work"),
)
"""What the tests' cache keeps; the rest has names with the port of a server that goes away."""


def guest_names() -> list[str]:
    """Return the packages that dpkg needs in a guest."""
    text = package_data("pipeline.smoke", "guest.toml").read_text()
    return list(tomllib.loads(text)["root"]["packages"])


@functools.cache
def packages(release: str = "bookworm") -> frozenset[Package]:
    """Return what a run takes from a release: the roots of container and guest, a kernel."""
    archive = real.archive(release)
    essential = archive.essential(())
    return frozenset(
        (
            *archive.closure([*essential, *build.TOOLS], dsc=real.dsc()),
            *archive.closure([*guest_names(), *essential, "iproute2"]),
            *archive.closure([KERNEL]),
        )
    )


def stock(
    archive: Archive, suite: str, *, release: str = "bookworm", without: Collection[str] = ()
) -> None:
    """Let our archive have these packages of a release in a suite, except for some names."""
    wanted = {(p.name, p.version) for p in packages(release) if p.name not in without}
    for index in real.archive(release)._indexes("Packages"):
        entries = [
            text
            for text in index.path.read_text().split("\n\n")
            if (_field(text, "Package"), _field(text, "Version")) in wanted
        ]
        wanted -= {(_field(text, "Package"), _field(text, "Version")) for text in entries}
        text = "".join(f"{entry.strip()}\n\n" for entry in entries)
        archive.add_entries(text, index.site, suite=suite)
    assert not wanted, wanted


def _field(paragraph: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*)$", paragraph, re.MULTILINE)
    return found.group(1) if found else ""


@contextlib.contextmanager
def signer(name: str, *, expired: bool = False) -> Iterator[Signer]:
    """Yield a key that the tests' cache keeps, since roots are named after the keys behind them.

    With a new key for each run of the tests, each would make its roots again.
    """
    kept = real.cache().directory("keys") / name
    with contextlib.ExitStack() as stack:
        with real.cache().lock("keys", name):
            made = stack.enter_context(Signer(name, expired=expired, kept=kept))
        yield made


def cache(directory: Path) -> Path:
    """Return a new cache that shares with the tests' cache what does not name an archive."""
    own = real.cache()
    directory.mkdir()
    for kind in SHARED:
        (directory / kind).symlink_to(own.directory(kind))
    return directory


def compiled(release: Release, sources: Sequence[AptSource]) -> None:
    """Let builds for these sources find in ccache what Debian 12's own iproute2 left there.

    Else each key has everything compiled once more. If no run in the tests' cache has filled a
    ccache yet, there is nothing to be found.
    """
    own = real.root()
    kept = real.cache().get(ccache.KIND, own.ccache)
    if kept is not None:
        root = replace(own.root, trust=keyrings.trust(sources))
        ccache.keep(real.cache(), replace(own, release=release, root=root).ccache, kept)
