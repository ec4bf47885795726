# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 12's packages in the form in which Ubuntu 24.04 has its own.

Those that differ in more than their origin are packed anew, with zstd, as all are there: a
base-files that says so, iproute2, updates, and a kernel in several packages.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.host import command
from pipeline.host.cache import digest
from support import real, rows, world
from support.packages import ENVIRONMENT, make_deb

NOBLE, UPDATES, SECURITY = "noble", "noble-updates", "noble-security"
RELEASED, UPDATED = "6.1.0-1ubuntu1", "6.1.0-1ubuntu1.1"

OS_RELEASE = """\
PRETTY_NAME="Ubuntu 24.04 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
ORIGIN = """\
Vendor: Ubuntu
Vendor-URL: https://www.ubuntu.com/
Bugs: https://bugs.launchpad.net/ubuntu/+filebug
Parent: Debian
"""
ZSTD = "\noverride_dh_builddeb:\n\tdh_builddeb -- -Zzstd\n"


def _nothing(tree: Path) -> None:
    """Change nothing."""


@dataclass(frozen=True, kw_only=True)
class Again:
    """One of Debian's packages, packed again."""

    name: str
    suffix: str = ""
    """What follows Debian's version."""
    version: str = ""
    """Its version in place of that."""
    suite: str = NOBLE
    component: str = "main"
    change: Callable[[Path], None] = _nothing
    """What changes its tree."""

    def key(self) -> str:
        """Return a text that tells it from the others."""
        return f"{self.name} {self.suffix}{self.version} {self.change.__name__}"


def _ubuntus(tree: Path) -> None:
    """Let base-files be Ubuntu's: dpkg's vendor decides on the flags of a build."""
    (tree / "usr/lib/os-release").write_text(OS_RELEASE)
    (tree / "etc/dpkg/origins/ubuntu").write_text(ORIGIN)
    (tree / "etc/dpkg/origins/default").symlink_to("ubuntu")


AGAIN = (
    Again(name="base-files", suffix="ubuntu1", change=_ubuntus),
    Again(name="ccache", suffix="build1", component="universe"),
    Again(name="iproute2", version=RELEASED),
    Again(name="mawk", suffix="ubuntu0.1", suite=UPDATES),
    Again(name="hostname", suffix="ubuntu0.1", suite=SECURITY),
)


def debs(again: Again | None) -> list[Path]:
    """Return the .debs made of one package, or those of the kernel, from the tests' cache."""
    archive = real.archive()
    names = [again.name] if again else [world.KERNEL]
    (package,) = [
        p for p in archive.closure(names) if (p.name == names[0] if again else _is_image(p.name))
    ]

    def make(part: Path) -> None:
        part.mkdir()
        (deb,) = archive.download([package], part / "from")
        if again:
            _pack_again(deb.path, again, part)
        else:
            _kernel(deb.path, part)
        for path in [p for p in part.iterdir() if p.suffix != ".deb"]:
            shutil.rmtree(path)

    key = digest(Path(__file__).read_bytes(), package.sha256, again.key() if again else "kernel")
    return sorted(real.cache().entry("ubuntu", key, make).iterdir())


def _is_image(name: str) -> bool:
    return re.match(r"linux-image-\d", name) is not None


def _pack_again(deb: Path, again: Again, into: Path) -> None:
    tree = into / "tree"
    command.run(["dpkg-deb", "--raw-extract", deb, tree])
    control = tree / "DEBIAN/control"
    text = control.read_text()
    new = again.version or rf"\1{again.suffix}"
    text = re.sub(r"^Version: (.*)$", f"Version: {new}", text, flags=re.MULTILINE)
    text = re.sub(r"^Maintainer: .*$", "Maintainer: Nobody <a@example.org>", text, flags=re.M)
    control.write_text(text)
    again.change(tree)
    options = ("--root-owner-group", "-Zzstd", "-z3")
    command.run(["dpkg-deb", *options, "--build", tree, into], env=ENVIRONMENT)


def _kernel(deb: Path, into: Path) -> None:
    """Make the packages of a kernel: one with the image, one with the modules, and so on."""
    tree = into / "tree"
    command.run(["dpkg-deb", "--extract", deb, tree])
    (modules,) = (tree / "lib/modules").iterdir()
    plain = [str(path) for path in modules.rglob("*.ko")]
    command.run(["zstd", "-q", "-3", "--rm", "-T0", "--", *plain])
    here = modules.name
    there, version = f"{here.removesuffix('-cloud-amd64')}-generic", deb.name.split("_")[1]
    boot = {name: tree / f"boot/{name}-{here}" for name in ("vmlinuz", "System.map", "config")}
    for name in ("vmlinuz", "System.map"):  # nobody but root may read them there
        boot[name].chmod(0o600)
    image = {f"boot/vmlinuz-{there}": boot.pop("vmlinuz")}
    rest = {f"boot/{name}-{there}": path for name, path in boot.items()}
    files = [path for path in modules.rglob("*") if path.is_file()]
    rest |= {f"lib/modules/{there}/{path.relative_to(modules)}": path for path in files}
    signed, unsigned = f"linux-image-{there}", f"linux-image-unsigned-{there}"
    parts = f"linux-modules-{there}"
    both = {"Depends": f"kmod, linux-base, {parts}", "Section": "kernel"}
    for name, fields, programs in (
        (signed, {**both, "Conflicts": unsigned, "Built-Using": f"linux (= {version})"}, image),
        (unsigned, {**both, "Conflicts": signed}, image),
        (parts, {"Depends": f"{signed} | {unsigned}"}, rest),
        ("linux-image-virtual", {"Depends": signed}, {}),
    ):
        make_deb(
            into,
            name,
            version,
            architecture="amd64",
            fields=fields,
            programs=programs,
            compress="zstd",
        )


def source(directory: Path, version: str) -> Path:
    """Make a version of iproute2 as Ubuntu has it in ``directory``, a new one; return its .dsc.

    Its binary packages are compressed as Ubuntu's dpkg does. It has few of the modules.
    """

    def change(tree: Path) -> None:
        with (tree / "debian/rules").open("a") as rules:
            rules.write(ZSTD)

    return rows.source(directory, version, libbpf=True, change=change)
