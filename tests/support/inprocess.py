# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Call respin in this process, as its entry point does: thirty starts of it take a minute."""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.host import leftovers
from support import cli

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def respin(
    *args: str | Path, cwd: Path | None = None, env: Mapping[str, str | None] | None = None
) -> cli.Said:
    """Call respin, return its output; ``env`` changes its environment (None: remove a name)."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env or {}).items():
            patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        # When it fails, it must not remove what the test itself holds.
        patch.setattr(leftovers, "_noted", {})
        patch.setattr(leftovers, "_whole", [])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(list(map(str, args)))
            except SystemExit as e:
                status = int(e.code or 0)
            finally:
                for number, handler in kept.items():
                    signal.signal(number, handler)
    return cli.Said(status=status, out=out.getvalue(), err=err.getvalue())
