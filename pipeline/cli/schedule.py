# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that start `respin nightly`: systemd units, a crontab."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.host.resources import render
from pipeline.text import quoting

SERVICE, TIMER = "respin-nightly.service", "respin-nightly.timer"
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When `respin nightly` runs, and as which user."""

    program: Path
    """The path of respin."""
    user: str = "respin"
    config: Path | None = None
    hourly: bool = False
    """Run every hour instead of every night, so that retries happen on time."""
    state: Path = Path("/var/lib/respin")
    cache: Path = Path("/var/cache/respin")

    def __post_init__(self) -> None:
        """Refuse a value that would not be a single word in a unit or a crontab."""
        if not _USER.fullmatch(self.user):
            raise UsageError(f"{self.user!r} is not a valid user name")
        for path in (self.program, self.config, self.state, self.cache):
            if path is not None and not re.fullmatch(r"/[A-Za-z0-9_./+-]*", str(path)):
                raise UsageError(
                    f"{path} has characters that are not safe in a unit or a crontab",
                    hint="give an absolute path that consists of letters, digits and ._+-",
                )


def systemd(schedule: Schedule) -> dict[str, str]:
    """Return the service and the timer, by file name."""
    for path, above in ((schedule.state, "/var/lib"), (schedule.cache, "/var/cache")):
        if not path.is_relative_to(above) or str(path) == above:
            raise UsageError(f"{path} is not below {above}, where systemd creates it")
    service = render(
        "schedule/systemd.service.j2",
        program=schedule.program,
        config=schedule.config,
        user=schedule.user,
        state=schedule.state,
        cache=schedule.cache,
        state_name=schedule.state.relative_to("/var/lib"),
        cache_name=schedule.cache.relative_to("/var/cache"),
    )
    timer = render(
        "schedule/systemd.timer.j2",
        every="hour" if schedule.hourly else "night",
        calendar="hourly" if schedule.hourly else "*-*-* 01:00:00",
        delay="30min" if schedule.hourly else "3h",
    )
    return {SERVICE: service, TIMER: timer}


def cron(schedule: Schedule) -> str:
    """Return a file for /etc/cron.d."""
    words = ["nice", "-n", "19", "ionice", "-c", "3", str(schedule.program), "nightly", "--quiet"]
    words += ["--config", str(schedule.config)] if schedule.config else []
    words += ["--cache", str(schedule.cache)]
    return render(
        "schedule/crontab.j2",
        minute=_minute(str(schedule.program)),
        hour="*" if schedule.hourly else "1",
        user=schedule.user,
        state=schedule.state,
        delay=1800 if schedule.hourly else 10800,
        line=quoting.cron(shlex.join(words)),
    )


def _minute(seed: str) -> int:
    """Return a minute that is fixed for one installation but differs between installations."""
    return hashlib.sha256(seed.encode()).digest()[0] % 60
