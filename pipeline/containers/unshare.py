"""The container that needs nothing but the kernel: namespaces and an overlay.

For an ordinary user with subordinate ids and for root. Each command gets namespaces and
mounts of its own, which are gone when it ends; what it wrote stays in the scratch folder
until the container is stopped. templates/container/enter.sh does the mounts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from pipeline import command
from pipeline.cache import Cache
from pipeline.command import Completed
from pipeline.containers import namespaces
from pipeline.containers.base import (
    BASE_ENVIRONMENT,
    Call,
    Container,
    Share,
    User,
    make_build_user,
    not_started,
)
from pipeline.data import data_path
from pipeline.errors import BuildError
from pipeline.scratch import scratch


class Unshare(Container):
    """A container over a tree."""

    name = "unshare"

    def __init__(
        self,
        tree: Path,
        cache: Cache,
        *,
        shares: Sequence[Share] = (),
        network: bool = False,
        overlay: bool = True,
    ) -> None:
        """Prepare one over ``tree`` (``roots.root_tree``), writing to a new folder of the cache.

        Without ``overlay``, or where none can be mounted (over another overlay, on a file
        system without extended attributes), it works on a copy of the tree.
        """
        super().__init__(shares=shares, network=network)
        self._tree = tree.resolve()
        self._cache = cache
        self._scratch: Path | None = None
        self._left = contextlib.ExitStack()
        self._trouble = ""
        self.overlay = overlay
        """Whether an overlay is used, once it is started."""

    @property
    def limits(self) -> str:
        """In words, what it does less well here."""
        return "" if self.overlay else "no overlay can be mounted here: it works on a copy"

    def _start(self) -> None:
        namespaces.check()
        remove = namespaces.remove_tree
        self._scratch = self._left.enter_context(scratch(self._cache, "unshare", remove=remove))
        for name in ("lower", "upper", "work", "root"):
            (self._scratch / name).mkdir()
            # The root of an overlay has the mode of its upper folder.
            (self._scratch / name).chmod(0o755)
        if self.overlay:
            nothing = Call(argv=("true",), user=User.ROOT, env=BASE_ENVIRONMENT)
            self.overlay = self._enter(nothing) is not None
        if not self.overlay:
            self._copy()
        make_build_user(self)

    def _run(self, call: Call) -> Completed:
        done = self._enter(call)
        if done is None:
            raise BuildError(
                "the container cannot be entered",
                details=self._trouble,
                hint="respin doctor says what is missing; a full disk or a cache that was "
                "removed while it was in use can be the reason too",
            )
        return done

    def _enter(self, call: Call) -> Completed | None:
        """Run a command; return None, and keep what was said, if it never came to run."""
        here = self._running
        entered = here / "entered"
        entered.unlink(missing_ok=True)
        shares = [word for s in self.shares for word in (str(s.host.resolve()), s.inside)]
        done = call.through(
            [
                *namespaces.unshare(network=self._network),
                *("sh", data_path("templates", "container", "enter.sh"), self._tree, here),
                *("overlay" if self.overlay else "copy", "net" if self._network else "nonet"),
                *(str(int(call.user)), call.folder, *shares, "--"),
            ],
            namespaces.ENVIRONMENT,
        )
        if entered.exists():
            return done
        self._trouble = command.tail(done.err.end())
        return None

    @property
    def _running(self) -> Path:
        if self._scratch is None:
            raise not_started()
        return self._scratch

    def _copy(self) -> None:
        """Copy the tree into the scratch folder, where no overlay can be had."""
        copy = self._running / "copy"
        command.run(
            [*namespaces.unshare(), "cp", "-a", "--reflink=auto", "--", self._tree, copy],
            env={"PATH": namespaces.PATH},
            error=BuildError,
            brief="the root could not be copied",
        )

    def _remove(self) -> None:
        self._scratch = None
        self._left.close()
