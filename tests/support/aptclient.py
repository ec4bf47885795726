# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of our repository: this machine's own apt, with a root of its own.

It starts in no time; tests/support/client.py is a whole machine with other packages.
"""

from __future__ import annotations

import functools
import http.server
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "iproute2-respin"
DIRECTORIES = (
    *("etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d"),
    *("var/lib/dpkg", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"),
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory on loopback; yield its address."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class AptClient:
    """One machine: the keys that it trusts, and the indexes that it has seen."""

    def __init__(self, root: Path, uri: str, key: bytes, suite: str = "bookworm") -> None:
        """``uri`` has the repository of ``suite``; ``key`` is what the user has installed."""
        self._root = root
        for name in DIRECTORIES:
            (root / name).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        self.keyring = root / f"etc/apt/{NAME}.asc"
        self.keyring.write_bytes(key)
        (root / "etc/apt/sources.list.d/ours.sources").write_text(
            f"Types: deb deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
            f"Signed-By: {self.keyring}\n"
        )
        options = {
            "Dir": root,
            "Dir::Etc": "etc/apt",
            "Dir::State": "var/lib/apt",
            "Dir::State::status": root / "var/lib/dpkg/status",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        (root / "apt.conf").write_text("".join(f'{k} "{v}";\n' for k, v in options.items()))

    def also(self, sources: Path, key: Path) -> None:
        """Let it also have the archives of a .sources file, which ``key`` signs."""
        text = re.sub(r"^Signed-By: .*$", f"Signed-By: {key}", sources.read_text(), flags=re.M)
        (self._root / "etc/apt/sources.list.d" / sources.name).write_text(text)

    def apt(self, *argv: str) -> tuple[int, str]:
        """Call one of apt's programs; return its status and its output."""
        done = subprocess.run(
            argv,
            env={
                "APT_CONFIG": str(self._root / "apt.conf"),
                "PATH": "/usr/bin:/bin",
                "LC_ALL": "C.UTF-8",
            },
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def update(self) -> bool:
        """Update; return whether that succeeded."""
        return self.apt("apt-get", "update", "--error-on=any")[0] == 0

    def candidate(self) -> str:
        """Return the version of iproute2 that it would install."""
        _, said = self.apt("apt-cache", "policy", "iproute2")
        lines = [line.split() for line in said.splitlines()]
        return next((words[1] for words in lines if words[:1] == ["Candidate:"]), "")

    def download(self) -> Path:
        """Download that version."""
        status, said = self.apt("apt-get", "download", "iproute2")
        assert status == 0, said
        (found,) = self._root.glob("iproute2_*.deb")
        return found


def configured(
    directory: Path, public: Path, url: str, uri: str, release: str, *options: str
) -> AptClient:
    """Return a machine that has a release's own files of our repository, as users install them.

    They name the repository's ``url``, which is served at ``uri``; ``options`` go into apt.conf.
    """
    there = public / release
    made = AptClient(directory, f"{uri}/{release}", (there / f"{NAME}.asc").read_bytes(), release)
    text = (there / f"{NAME}.sources").read_text()
    text = text.replace(url, uri).replace(f"/usr/share/keyrings/{NAME}.asc", str(made.keyring))
    (directory / "etc/apt/sources.list.d/ours.sources").write_text(text)
    pref = (there / f"{NAME}.pref").read_text()
    (directory / "etc/apt/preferences.d/ours.pref").write_text(pref)
    # The nights are dated a day ahead.
    more = ('Acquire::Max-FutureTime "8640000";', *options)
    with (directory / "apt.conf").open("a") as f:
        f.write("".join(f"{line}\n" for line in more))
    return made
