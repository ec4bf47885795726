# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client: Debian 12 in a container, with the distro's archive and our repository.

Its root has apt and the distro's iproute2 6.1.0-3 with all its dependencies.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pipeline.containers import User, roots
from pipeline.containers.unshare import Unshare
from pipeline.host.command import Completed
from support import real
from support.aptclient import served

KEYRING = "/usr/share/keyrings/iproute2-respin.asc"
# Its nights are played within an hour: their indexes have dates in the future.
CONF = b'APT::Sandbox::User "root";\nAcquire::Max-FutureTime "8640000";\n'
ENV = {"DEBIAN_FRONTEND": "noninteractive"}


@functools.cache
def root() -> Path:
    """Return the client's root, from the cache of the tests."""
    archive, names = real.archive(), ["apt", "iproute2", "ca-certificates"]
    names = [*archive.essential(()), *names]
    key = archive.closure(names)
    return roots.root_tree(archive.sources, archive.release, names, real.cache(), key=key, log=None)


class Client:
    """A machine of the fleet."""

    def __init__(self, distro: Path, keyring: Path, public: Path, target: str) -> None:
        """Let it use the archive in directory ``distro``, and ``target`` of ``public``."""
        self._target, self._keyring = target, keyring.read_bytes()
        self._distro, self._public = distro, public
        self._uri = ""
        self._stack = ExitStack()
        self._container = Unshare(root(), real.cache(), network=True)

    def __enter__(self) -> Self:
        distro = self._stack.enter_context(served(self._distro))
        self._uri = self._stack.enter_context(served(self._public))
        self._stack.enter_context(self._container)
        self.call("rm", "-rf", "/etc/apt/sources.list.d", "/etc/apt/sources.list")
        suites = " ".join(f"{self._target}{s}" for s in ("", "-updates", "-security"))
        self.write("/etc/apt/keyrings/distro.gpg", self._keyring)
        self.write(
            "/etc/apt/sources.list.d/distro.sources",
            f"Types: deb\nURIs: {distro}\nSuites: {suites}\nComponents: main\n"
            "Signed-By: /etc/apt/keyrings/distro.gpg\n".encode(),
        )
        self.write("/etc/apt/apt.conf.d/99user", CONF)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def call(self, *argv: str, check: bool = True, stdin: bytes = b"") -> Completed:
        """Run a command as root in it."""
        done = self._container.call(
            argv, user=User.ROOT, env=ENV, check=False, stdin=stdin, timeout=300
        )
        assert done.status == 0 or not check, (argv, (done.stdout + done.stderr).decode())
        return done

    def write(self, path: str, data: bytes) -> None:
        """Write a file in it."""
        # /dev/stdin does not work: the pipe belongs to a user whom its namespace does not know.
        script = 'mkdir -p "${1%/*}" && cat >"$1" && chmod 644 "$1"'
        self.call("sh", "-c", script, "write", path, stdin=data)

    def subscribe(self, *, key: bool = True) -> None:
        """Do what docs/publishing.md tells a user to do, with a server on loopback."""
        ours = self._public / self._target
        sources = (ours / "iproute2-respin.sources").read_text()
        served = next(line for line in sources.splitlines() if line.startswith("URIs: "))
        local = sources.replace(served, f"URIs: {self._uri}/{self._target}")
        self.write("/etc/apt/sources.list.d/iproute2-respin.sources", local.encode())
        pref = (ours / "iproute2-respin.pref").read_bytes()
        self.write("/etc/apt/preferences.d/iproute2-respin.pref", pref)
        if key:
            asc = (ours / "iproute2-respin.asc").read_bytes()
            self.trust(asc)

    def trust(self, key: bytes) -> None:
        """Install a key by hand, in place of the present one."""
        self.write(KEYRING, key)

    def upgrade(self) -> str:
        """Update and upgrade, as a fleet does; return the resulting version of iproute2."""
        self.call("apt-get", "-q", "update", "--error-on=any")
        self.call("apt-get", "-q", "-y", "upgrade")
        return self.version()

    def version(self) -> str:
        """Return the version of iproute2 that is installed."""
        return self.call("dpkg-query", "-W", "-f", "${Version}", "iproute2").text
