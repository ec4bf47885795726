# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The container that needs only the kernel: namespaces and an overlay.

It works for root and for an ordinary user with subordinate ids. Each command gets its own
namespaces and mounts, which disappear when it ends; what it wrote stays in the scratch directory
until the container is stopped. isolation/enter.py makes the mounts.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline.containers.base import (
    Call,
    Container,
    User,
    make_build_user,
    not_started,
)
from pipeline.containers.meter import Disk, Meter, counted
from pipeline.errors import BuildError
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.command import Completed
from pipeline.isolation import ids, namespaces, seccomp, views
from pipeline.isolation.allowance import Allowance
from pipeline.isolation.order import CAPABILITIES, Bind, Order, WallKind
from pipeline.isolation.scratch import scratch


class Unshare(Container):
    """A container over a tree."""

    name = "unshare"

    def __init__(
        self,
        tree: Path,
        cache: Cache,
        *,
        network: bool = False,
        overlay: bool = True,
        allowed: Allowance | None = None,
    ) -> None:
        """Prepare one over ``tree`` (``roots.root_tree``), writing to a new directory of the cache.

        Without ``overlay``, or if none can be mounted (over another overlay, or on a file system
        without extended attributes), it works on a copy of the tree.
        """
        super().__init__(network=network, allowed=allowed)
        self._tree = tree.resolve()
        self._cache = cache
        self._scratch: Path | None = None
        self._left = contextlib.ExitStack()
        self._trouble = ""
        self.overlay = overlay
        """Whether it uses an overlay, after the start."""

    @property
    def limits(self) -> str:
        """Return in words what does not work as well here as it might."""
        said = [ids.mine().words]
        said += (
            [] if self.overlay else ["no overlay can be mounted here, so the build works on a copy"]
        )
        return "; ".join(filter(None, said))

    def outside(self, name: str) -> Path | None:
        """Return where an overlay keeps it."""
        return self._running / ("upper" if self.overlay else "copy") / "build" / name

    def _start(self) -> None:
        namespaces.check()
        remove = namespaces.remove_tree
        self._scratch = self._left.enter_context(scratch(self._cache, "unshare", remove=remove))
        for name in ("lower", "upper", "work", "root"):
            (self._scratch / name).mkdir()
            # The root of an overlay takes mode and owner from its upper directory.
            (self._scratch / name).chmod(0o755)
        namespaces.given(self._scratch / "upper")
        if self.overlay:
            nothing = Call(argv=("true",), user=User.ROOT, env=namespaces.BASE_ENVIRONMENT)
            self.overlay = self._enter(nothing) is not None
        if not self.overlay:
            self._copy()
        self._look = Meter(self.allowed, self._disk())
        make_build_user(self)

    def _disk(self) -> Disk:
        """Return the check of what is written; of a copy of the tree, only of what was added."""
        written = self._running / ("upper" if self.overlay else "copy")
        had = (0, 0) if self.overlay else counted(written)

        def count() -> tuple[int, int]:
            size, files = counted(written)
            return size - had[0], files - had[1]

        return Disk(written, self.allowed, count)

    def _run(self, call: Call) -> Completed:
        done = self._enter(call)
        if done is None:
            raise BuildError(
                "respin could not enter the container",
                details=self._trouble,
                hint="run respin doctor, which shows what is missing; also check that the disk is "
                "not full, and that nobody removed the cache",
            )
        return done

    def _enter(self, call: Call) -> Completed | None:
        """Run a command; if it never started, return None and keep the output."""
        entered = self._running / "entered"
        entered.unlink(missing_ok=True)
        root = call.user is User.ROOT
        resolver = views.resolver() if self._network else None
        binds = [Bind(host=resolver, inside="/etc/resolv.conf")] if resolver else []
        order = Order(
            kind=WallKind.TREE,
            ids=ids.mine(),
            network=self._network,
            scratch=self._running,
            tree=self._tree,
            copy=not self.overlay,
            binds=tuple(binds),
            uid=int(call.user),
            directory=call.directory,
            caps=CAPABILITIES if root else (),
            filter=seccomp.path(),
            limits=self.allowed.of_each,
            shm=self.allowed.shm,
            mark=entered,
        )
        done = call.through(order.argv(), namespaces.ENVIRONMENT)
        if entered.exists() and entered.stat().st_size:
            return done
        self._trouble = command.tail(done.end)
        return None

    @property
    def _running(self) -> Path:
        if self._scratch is None:
            raise not_started()
        return self._scratch

    def _copy(self) -> None:
        """Copy the tree into the scratch directory, if no overlay can be mounted."""
        copy = self._running / "copy"
        # Root copies all ids as they are.
        begin = namespaces.unshare() if os.geteuid() != 0 else ()
        command.run(
            ["cp", "-a", "--reflink=auto", "--", self._tree, copy],
            begin=begin,
            env={"PATH": namespaces.PATH},
            error=BuildError,
            brief="respin could not copy the root",
        )

    def _remove(self) -> None:
        self._scratch = None
        self._left.close()
