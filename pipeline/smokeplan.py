"""What a smoke guest is given to do: rows of the matrix, its first process, its files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from pipeline.cache import Cache
from pipeline.data import render
from pipeline.judge import Row
from pipeline.objects import Case, UserObject, compile_case, map_struct_size, user_section
from pipeline.vm.image import GuestImage
from pipeline.vm.initramfs import Initramfs
from pipeline.vm.machine import Machine

RECEIVER, SENDER = "respin0", "respin1"
"""The two ends of the guest's veth pair."""

PACKETS = 7
"""Frames that are sent after each load."""

PINS = "/sys/fs/bpf/tc/globals"
"""Where both loaders pin; for XDP too, by a link that they make."""

HOME = "/respin"
"""Where our files are in the guest."""

LOAD_SECONDS, BATCH_SECONDS, INSTALL_SECONDS = 30, 180, 60
"""How long commands may take in the guest."""


def load_command(way: str, path: str, which: Sequence[str]) -> list[str]:
    """Return the command that loads an object in the guest (tc-bpf(8), ip-link(8)).

    ``which`` says what to load from it: ``section NAME`` or ``program NAME``.
    """
    if way == "xdp":
        return ["ip", "link", "set", "dev", RECEIVER, "xdpgeneric", "object", path, *which]
    loader = ["bpf", "direct-action", "object-file", path, *which]
    return ["tc", "filter", "add", "dev", RECEIVER, "ingress", *loader]


def show_command(way: str) -> list[str]:
    """Return the command that shows what is loaded."""
    if way == "xdp":
        return ["ip", "link", "show", "dev", RECEIVER]
    return ["tc", "filter", "show", "dev", RECEIVER, "ingress"]


def case_rows(
    cases: Sequence[Case], machine: Machine, version: str, cache: Cache, log_dir: Path
) -> Iterator[Row]:
    """Yield the rows of cases, their objects compiled for the iproute2 of this version."""
    size = map_struct_size(version)
    for case in cases:
        compiled = compile_case(
            case, size=size, machine=machine, cache=cache, log=log_dir / "objects.log"
        )
        name = f"{case.name}-{case.way}"
        which = ["program", case.program] if case.program else ["section", case.section]
        argv = load_command(case.way, f"{HOME}/{name}.o", which)
        batch = ""
        if case.repeat > 1:
            loader = shlex.join(argv[argv.index("bpf") :])
            line = f"filter replace dev {RECEIVER} ingress prio 1 handle 1 {loader}\n"
            batch, argv = line * case.repeat, ["tc", "-batch", f"{HOME}/{name}.batch"]
        yield Row(
            case=case.name,
            title=case.title,
            way=case.way,
            name=name,
            object=compiled,
            argv=tuple(argv),
            pins=case.pins,
            expect=case.expect,
            like=case.like or case.name,
            says=case.says,
            program=bool(case.program),
            batch=batch,
            files=case.files,
            seconds=BATCH_SECONDS if batch else LOAD_SECONDS,
        )


def object_rows(items: Sequence[UserObject]) -> Iterator[Row]:
    """Yield the rows of the user's own objects. Raises UsageError for one that is none."""
    for i, item in enumerate(items):
        section = user_section(item)
        name = f"object-{i}"
        yield Row(
            case=item.path.name,
            title=f"{item.path}, section {section}",
            way=item.way,
            name=name,
            object=item.path,
            argv=tuple(load_command(item.way, f"{HOME}/{name}.o", ["section", section])),
            pins={},
            expect=None,
            seconds=LOAD_SECONDS,
        )


def step_id(phase: str, row: int) -> str:
    """Return the id under which the guest reports on a row."""
    return f"{phase}:{row}"


def ids(rows: Sequence[Row], phases: Sequence[str]) -> set[str]:
    """Return every id that the guest may use."""
    steps = {step_id(phase, i) for phase in phases for i in range(len(rows))}
    shows = {f"{step}:show" for step in steps}
    return {"links", *steps, *shows, *(f"{p}:{w}" for p in phases for w in ("install", "version"))}


def init(image: GuestImage, rows: Sequence[Row], phases: Sequence[str]) -> str:
    """Return the guest's first process, a shell script: every step of the run written out."""
    installs = [
        {
            "phase": phase,
            "deadline": INSTALL_SECONDS,
            "folder": f"{HOME}/{phase}",
            "steps": [_step(phase, i, row, rows[i - 1]) for i, row in enumerate(rows)],
        }
        for phase in phases
    ]
    return render(
        "guest/init.sh.j2",
        modules=image.modules,
        installs=installs,
        receiver=RECEIVER,
        sender=SENDER,
        packets=PACKETS,
    )


def _step(phase: str, i: int, row: Row, last: Row) -> Mapping[str, object]:
    return {
        "clear_xdp": "xdp" in (row.way, last.way),
        "id": step_id(phase, i),
        "title": shlex.quote(f"{phase}: {row.case} ({row.way})"),
        "deadline": row.seconds,
        "command": shlex.join(row.argv),
        "limit": row.files,
        "show": "" if row.pins else shlex.join(show_command(row.way)),
        "pins": [shlex.quote(f"{name}={PINS}/{name}") for name in row.pins],
    }


def packages(debs: Sequence[Path]) -> dict[str, Path]:
    """Return what packages are called in the guest."""
    return {f"{i}.deb": path for i, path in enumerate(debs)}


def archive(
    out: IO[bytes], script: str, rows: Sequence[Row], phase: str, debs: Sequence[Path]
) -> None:
    """Write what a run brings to the guest, as a RAM file system to come after the base.

    ``debs`` are the packages of the first ``phase``; those of the next are given later.
    """
    # The base ends anywhere; each archive must begin on a multiple of four bytes.
    out.write(b"\0" * (-out.tell() % 4))
    with Initramfs(out) as guest:
        guest.file("init", script.encode(), 0o755)
        links = f"link add {RECEIVER} type veth peer name {SENDER}\n"
        links += "".join(f"link set dev {name} up\n" for name in (RECEIVER, SENDER))
        guest.file(f"{HOME[1:]}/links", links.encode())
        reset = f"qdisc del dev {RECEIVER} clsact\nqdisc add dev {RECEIVER} clsact\n"
        guest.file(f"{HOME[1:]}/reset", reset.encode())
        guest.folder(f"{HOME[1:]}/{phase}")
        for name, path in packages(debs).items():
            guest.file(f"{HOME[1:]}/{phase}/{name}", path.read_bytes())
        for row in rows:
            guest.file(f"{HOME[1:]}/{row.name}.o", row.object.read_bytes())
            if row.batch:
                guest.file(f"{HOME[1:]}/{row.name}.batch", row.batch.encode())
