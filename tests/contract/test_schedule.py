# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What starts it: valid for systemd, for cron, for Kubernetes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner, Result
from support import engines

from pipeline.cli import schedule
from pipeline.cli.init import init
from pipeline.cli.schedule import Schedule
from pipeline.errors import UsageError

# Both are there: systemd-analyze looks for them.
HERE = Schedule(program=Path("/usr/bin/env"), user="daemon")


def verify(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (directory / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(directory / name for name in files)],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{done.returncode} {done.stderr}"


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("hourly", [False, True])
def test_systemd(tmp_path: Path, hourly: bool) -> None:
    files = schedule.systemd(
        Schedule(
            program=HERE.program, user=HERE.user, config=Path("/etc/respin.toml"), hourly=hourly
        )
    )
    assert verify(tmp_path, files) == "0 "
    service, timer = files[schedule.SERVICE], files[schedule.TIMER]
    for line in ("CPUSchedulingPolicy=idle", "IOSchedulingClass=idle", "ProtectSystem=strict"):
        assert f"\n{line}\n" in service
    assert "--config /etc/respin.toml" in service
    assert "\nPersistent=true\n" in timer and "\nRandomizedDelaySec=" in timer
    calendar = re.search(r"^OnCalendar=(.*)$", timer, re.MULTILINE)
    assert calendar
    subprocess.run(["systemd-analyze", "calendar", calendar[1]], check=True, capture_output=True)
    wrong = {**files, schedule.SERVICE: service.replace("Type=oneshot", "Type=nonsense")}
    assert verify(tmp_path, wrong) != "0 "


@pytest.mark.parametrize(("hourly", "hour"), [(False, "1"), (True, "*")])
def test_cron(hourly: bool, hour: str) -> None:
    text = schedule.cron(Schedule(program=Path("/usr/bin/respin"), hourly=hourly))
    lines = [line for line in text.splitlines() if not re.match(r"#|\w+=", line)]
    first, second = lines
    assert re.fullmatch(r"[0-5]?\d", first.split()[0])
    assert first.split()[1:6] == [hour, "*", "*", "*", "respin"]
    assert "%" not in text  # which cron takes for the end of a line
    assert second.startswith("@reboot respin ")
    for line in lines:
        command = line.partition(" respin ")[2]
        assert "nice -n 19 ionice -c 3 /usr/bin/respin nightly --quiet" in command
        subprocess.run(["sh", "-n", "-c", command], check=True)


def test_kubernetes() -> None:
    job, *volumes = yaml.safe_load_all(
        engines.written("kubernetes", image="registry.example.org/respin:1.2")["-"]
    )
    for each in (job, *volumes):
        kubernetes_validate.validate(each, "1.28", strict=True)
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.org/respin:1.2"
    claims = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"][1:]}
    assert claims == {each["metadata"]["name"] for each in volumes}
    job["spec"]["concurrencyPolicy"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.28", strict=True)


@pytest.mark.parametrize(
    "values",
    [
        {"program": Path("/usr/bin/re spin")},
        {"program": Path("respin")},
        {"program": Path("/x"), "user": "root\nExecStart=/bin/sh"},
        {"program": Path("/x"), "config": Path("/etc/%n")},
        {"program": Path("/x"), "cache": Path("/a;b")},
    ],
)
def test_what_would_be_two_words_is_refused(values: dict[str, Path]) -> None:
    with pytest.raises(UsageError):
        Schedule(**values)  # type: ignore[arg-type]


def test_an_image_is_one_word() -> None:
    with pytest.raises(UsageError):
        engines.written("kubernetes", image='x"\nprivileged: true')


def test_the_commands(tmp_path: Path) -> None:
    """Files are written once, and what somebody has edited is left alone."""
    argv = ["--program", "/usr/bin/respin"]

    def call(*more: str) -> Result:
        return CliRunner().invoke(init, more, catch_exceptions=True)

    for _ in range(2):
        done = call("systemd", *argv, "--out", str(tmp_path / "units"))
        assert done.exit_code == 0
        written = [Path(line) for line in done.stdout.splitlines()]
        assert [path.name for path in written] == [schedule.SERVICE, schedule.TIMER]
    written[0].write_text("edited")
    done = call("systemd", *argv, "--out", str(tmp_path / "units"))
    assert isinstance(done.exception, UsageError) and written[0].read_text() == "edited"
    assert "/usr/bin/respin nightly" in call("cron", *argv).stdout
    assert "kind: CronJob" in call("kubernetes", "--image", "x/y:1").stdout
    assert call("kubernetes").exit_code == 2
