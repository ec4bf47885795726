# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin as a Debian package, and a bare Debian in which to install and run it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.containers import roots
from support import project, real

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""The environment of a build, and of commands in the root."""

SECONDS = 1200
"""How long a command may take: from nothing to a proven .deb, beside three other tests."""

Said = subprocess.CompletedProcess[str]


@dataclass(frozen=True, kw_only=True)
class Package:
    """What dpkg-buildpackage made."""

    tree: Path
    """Its source: the files of the checkout that git knows, as they are now."""
    deb: Path
    dsc: Path
    changes: Path


def build(directory: Path, *options: str, umask: int = 0o022, **environment: str) -> Package:
    """Build the checkout's package in ``directory`` with these options of dpkg-buildpackage."""
    tree = project.copied(directory / "iproute2-respin")
    done = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc", *options],
        cwd=tree,
        env={**ENVIRONMENT, "HOME": str(directory), **environment},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def made(pattern: str) -> Path:
        return next(directory.glob(pattern), directory / "not-made")

    return Package(tree=tree, deb=made("*.deb"), dsc=made("*.dsc"), changes=made("*.changes"))


class BareRoot:
    """A Debian with nothing but Essential packages and apt, which uses the machine's mirror."""

    def __init__(self, root: Path, shared: Path, release: str = "bookworm") -> None:
        """Unpack a release into ``root``; it sees the directory ``shared`` as /srv."""
        archive = real.archive(release)
        names = [*archive.essential(()), "apt", "debian-archive-keyring"]
        key = archive.closure(names)
        log = real.cache().root / "logs" / f"bare-root-{release}.log"
        tar = roots.root_tar(
            archive.sources, archive.release, names, real.cache(), key=key, log=log
        )
        root.mkdir()
        root.chmod(0o755)
        subprocess.run(["tar", "--extract", "-p", "--file", tar, "-C", root], check=True)
        settings = [*host_apt.network_settings(), 'APT::Install-Recommends "false";']
        (root / "etc/apt/apt.conf.d/99tests").write_text("\n".join([*settings, ""]))
        # Nobody will want to read this disk after a power cut.
        (root / "etc/dpkg/dpkg.cfg.d/tests").write_text("force-unsafe-io\n")
        self.path = root
        self._shared = shared

    def call(self, *argv: str | Path, user: str = "", **environment: str) -> Said:
        """Run a command in it, as root or as a user, with mounts that are removed afterwards."""
        proxies = {k: v for k, v in os.environ.items() if k.endswith("_proxy")}
        home = f"/var/lib/{user}" if user else "/root"
        variables = {"HOME": home, "DEBIAN_FRONTEND": "noninteractive", **proxies, **environment}
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return run([*self._alone, *who, *argv], **variables)

    def beside(self, *argv: str | Path) -> Said:
        """Run a program of this machine, for which the root is a chroot with all mounts."""
        return run([*self._alone, "--outside", *argv])

    @property
    def _alone(self) -> list[str | Path]:
        script = Path(__file__).with_name("bare-root.sh")
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*alone, "sh", script, self.path, self._shared]


def run(argv: Sequence[str | Path], **environment: str) -> Said:
    """Run a command without this process's environment."""
    return subprocess.run(
        argv,
        cwd="/",
        env={**ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
