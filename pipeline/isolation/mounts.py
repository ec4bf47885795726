# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command sees: a root of its own, and what is mounted in it.

Hostile commands may have written what is in the new root, so nothing in it is found by its path
from outside. What is mounted there is taken first (open_tree(2), of Linux 5.2), the old root is
put away, and only then are the places looked up, which cannot lead outside any more.

``enter.py`` imports it, and runs without site-packages.
"""

from __future__ import annotations

import os
import stat
import sys

from pipeline.isolation import calls
from pipeline.isolation.calls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, call, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}


class Mount:
    """Something to be mounted in the new root, taken while the old one is still there."""

    def __init__(
        self, number: int, inside: str, *, directory: bool, readonly: bool = False
    ) -> None:
        """Take over the descriptor of a mount that is not attached anywhere yet."""
        self._number, self._inside = number, inside
        self._directory, self._readonly = directory, readonly

    @classmethod
    def of(cls, path: str, inside: str, *, readonly: bool = False) -> Mount:
        """Take a file or a directory of the host, with all that is mounted in it."""
        flags = calls.OPEN_TREE_CLONE | calls.AT_RECURSIVE | calls.CLOEXEC
        number = calls.syscall(calls.OPEN_TREE, calls.AT_FDCWD, os.fsencode(path), flags)
        return cls(number, inside, directory=os.path.isdir(path), readonly=readonly)

    @classmethod
    def proc(cls) -> Mount:
        """Return the /proc of this process's own namespace."""
        made = calls.syscall(calls.FSOPEN, b"proc", 1)
        calls.syscall(calls.FSCONFIG, made, calls.CREATE, None, None, 0)
        # Flags of mounts that are not of mount(2) have, for these three, the same values.
        number = calls.syscall(calls.FSMOUNT, made, 1, MS_NOSUID | MS_NODEV | MS_NOEXEC)
        os.close(made)
        return cls(number, "/proc", directory=True)

    def attach(self) -> None:
        """Mount it where it belongs."""
        _make(self._inside, directory=self._directory)
        target = os.fsencode(self._inside)
        flags = calls.FROM_DESCRIPTOR
        calls.syscall(calls.MOVE_MOUNT, self._number, b"", calls.AT_FDCWD, target, flags)
        os.close(self._number)
        if self._readonly:
            # What restricts it already has to be repeated (mount_namespaces(7), locked flags);
            # statvfs(3) has the flags of mount(2), except for relatime.
            kept = os.statvfs(self._inside).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | 0xC00)
            flags = calls.MS_REMOUNT | MS_BIND | calls.MS_RDONLY | kept
            mount("", self._inside, None, flags)


def build(order: dict[str, Any], copies: Sequence[tuple[int, str]], *, root: bool) -> None:
    """Make the new root and enter it, as root or in an ordinary user's own user namespace.

    ``copies`` are open files, and where they are seen. Raises OSError.
    """
    mount("none", "/", None, MS_REC | calls.MS_PRIVATE)
    if order["kind"] == "place":
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if order["kind"] not in ("tree", "view"):
        return
    owner = (order["ids"]["uid"][0][1], order["ids"]["gid"][0][1]) if root else None
    binds = [Mount.of(p, inside, readonly=mode == "ro") for p, inside, mode in order["binds"]]
    binds = [Mount.proc(), *binds]
    devices = [Mount.of(f"/dev/{name}", f"/dev/{name}") for name in DEVICES]
    devices += [_kvm(owner)] if order["kvm"] else []
    _replace_root(_view() if order["kind"] == "view" else _tree(order))
    for name, target in order["links"]:
        os.symlink(target, name)
    for name in order["open"]:
        _make(name, directory=True)
        os.chmod(name, 0o1777)
    _devices(devices, order["shm"])
    for each in binds:
        each.attach()
    for number, (source, path) in enumerate(copies):
        _copy(source, path, f"/.copy-{number}", owner)


def _tree(order: dict[str, Any]) -> str:
    """Mount a tree in the scratch directory, and return its path.

    Paths in overlay's options are relative, since commas and colons are special there.
    """
    os.chdir(order["scratch"])
    if order["copy"]:
        mount("copy", "root", None, MS_BIND)
    else:
        mount(order["tree"], "lower", None, MS_BIND)
        # Overlay's attributes: only root of the whole machine may use trusted ones.
        with open("/proc/self/uid_map") as f:
            whole = f.read().split() == ["0", "0", "4294967295"]
        options = f"lowerdir=lower,upperdir=upper,workdir={_unused('work')}"
        options = options if whole else f"{options},userxattr"
        try:
            # When an overlay is unmounted, the kernel writes the whole file system that it is on to
            # the disk, unless told that nothing here has to outlast a crash (overlayfs.rst).
            mount("respin", "root", "overlay", 0, f"{options},volatile")
        except OSError:  # before Linux 5.10
            mount("respin", "root", "overlay", 0, options)
    return "root"


def _unused(directory: str) -> str:
    """Make a directory in another; no volatile overlay can be mounted with an earlier one's."""
    number = len(os.listdir(directory))
    os.mkdir(f"{directory}/{number}", 0o755)
    return f"{directory}/{number}"


def _view() -> str:
    """Mount an empty file system, and return its path."""
    mount("view", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=128m")
    return "/tmp"


def _kvm(owner: tuple[int, int] | None) -> Mount:
    """Return /dev/kvm; for root, which has another id in there, a node that belongs to that id."""
    if owner is None:
        return Mount.of("/dev/kvm", "/dev/kvm")
    mount("kvm", "/tmp", "tmpfs", MS_NOSUID, "mode=0755,size=4k")
    os.mknod("/tmp/kvm", stat.S_IFCHR | 0o600, os.stat("/dev/kvm").st_rdev)
    os.chown("/tmp/kvm", *owner)
    taken = Mount.of("/tmp/kvm", "/dev/kvm")
    call("umount2", b"/tmp", calls.MNT_DETACH)
    return taken


def _replace_root(path: str) -> None:
    """Make a mount the root, and put the old one away with all that is in it."""
    os.chdir(path)
    new = os.open(".", os.O_PATH | os.O_DIRECTORY | calls.CLOEXEC)
    if os.geteuid() == 0:
        _leave_chroot()
    os.fchdir(new)
    try:
        call("pivot_root", b".", b".")
    except OSError:
        # Docker's filter refuses it. Then the old root lies below the new one, out of reach.
        mount(".", "/", None, calls.MS_MOVE)
        os.chroot(".")
    else:
        # The old root lies over the new one, which "." still is.
        call("umount2", b".", calls.MNT_DETACH)
    os.close(new)
    os.chdir("/")
    # From here on, root must not import what a hostile root offers as Python's modules.
    sys.path.clear()
    sys.meta_path.clear()


def _leave_chroot() -> None:
    """Go back to the root of the mount namespace, if respin itself was started in a chroot.

    Nobody can enter a user namespace from a chroot (user_namespaces(7)). Here "." is a mount
    that is outside every root, so ".." ends only at the root of the namespace.
    """
    out = os.open("/", os.O_PATH | os.O_DIRECTORY | calls.CLOEXEC)
    os.chroot(".")
    os.fchdir(out)
    os.close(out)
    while not os.path.samefile(".", ".."):
        os.chdir("..")
    os.chroot(".")


def _devices(devices: Sequence[Mount], shm: str) -> None:
    _make("/dev", directory=True)
    mount("dev", "/dev", "tmpfs", MS_NOSUID, "mode=0755,size=8m")
    for each in devices:
        each.attach()
    os.mkdir("/dev/shm")
    os.mkdir("/dev/pts")
    mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={shm}")
    mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", "/dev/ptmx")
    for name, rest in LINKS.items():
        os.symlink(f"/proc/self/fd{rest}", f"/dev/{name}")


def _copy(source: int, path: str, spare: str, owner: tuple[int, int] | None) -> None:
    """Show a file that only the caller may read; ``spare`` helps where one is there already."""
    there = os.path.lexists(path)
    copy = spare if there else path
    os.makedirs(os.path.dirname(copy), 0o755, exist_ok=True)
    with open(source, "rb") as f, open(copy, "xb") as out:
        while piece := f.read(1 << 20):
            out.write(piece)
        mode = os.fstat(source).st_mode
    os.chmod(copy, 0o500 if mode & 0o100 else 0o400)
    if owner:
        os.chown(copy, *owner)
    if there:
        mount(copy, path, None, MS_BIND)
        os.unlink(copy)


def _make(path: str, *, directory: bool) -> None:
    """Make a place to mount something on, if nothing is there."""
    if os.path.lexists(path):
        return
    os.makedirs(path if directory else os.path.dirname(path), 0o755, exist_ok=True)
    if not directory:
        os.mknod(path, stat.S_IFREG | 0o644)
