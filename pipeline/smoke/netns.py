# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke test on this machine's own kernel, in namespaces, which needs privileges.

The packages are unpacked but not installed; their programs use this machine's libraries. Whatever
is loaded, attached and pinned disappears with the namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.archives import deb_file
from pipeline.errors import SmokeImpossible, TestbedLost
from pipeline.files import bounded
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.resources import package_data
from pipeline.isolation import namespaces, sandbox
from pipeline.smoke.bpf_object import load
from pipeline.smoke.matrix import KernelFacts, Row
from pipeline.smoke.player_script import files, ids, plan
from pipeline.vm import qemu, results
from pipeline.vm.guest_programs import player
from pipeline.vm.kernel import read_config
from pipeline.vm.results import Transcript

_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


def kernel() -> KernelFacts:
    """Return what is known about this machine's kernel."""
    version = os.uname().release
    return KernelFacts(version=version, config=_config(version))


def _config(version: str) -> frozenset[str] | None:
    packed = read_config(Path("/proc/config.gz"))
    return read_config(Path(f"/boot/config-{version}")) if packed is None else packed


def _script() -> Path:
    return package_data(__package__, "netns.sh")


def check() -> None:
    """Raise SmokeImpossible unless the namespaces for the test can be made here."""
    try:
        command.run([*_UNSHARE, "sh", _script(), "true"], error=SmokeImpossible)
    except SmokeImpossible as e:
        raise SmokeImpossible(
            "this user may not create a network namespace and load BPF programs here",
            details=e.details,
            hint="run respin as root, or omit --place netns: a guest needs no privileges",
        ) from e


def run(
    rows: Sequence[Row],
    debs: Mapping[str, Sequence[Path]],
    home: Path,
    *,
    cache: Cache,
    seconds: float,
    log_dir: Path,
) -> Transcript:
    """Run the rows with each phase's packages and return what the player reported.

    ``home`` is where the rows expect their files. Raises SmokeImpossible if a package's
    programs do not run here, TestbedLost if the player is lost.
    """
    said = log_dir / "netns-said.jsonl"
    said.unlink(missing_ok=True)
    for name, content in files(rows).items():
        (home / name).parent.mkdir(exist_ok=True)
        data = content if isinstance(content, bytes) else load(content)
        (home / name).write_bytes(data)
    text = "hello\n"
    for phase, paths in debs.items():
        path = _unpacked(paths, home / f"root-{phase}", log_dir / "netns.log")
        text += f"path\t{path}\nrun\t{phase}:version\t20\ttc\t-V\n"
        text += plan(rows, phase, home=str(home))
    (home / "plan").write_text(text + "done\n", "latin-1")
    command.run(
        [*_UNSHARE, "sh", _script(), player(cache, log_dir / "netns.log"), home / "plan", said],
        timeout=seconds,
        log=log_dir / "netns.log",
        error=TestbedLost,
        brief="the namespaces of the smoke test were lost, so nothing is proven",
        hint="test in a guest instead: omit --place netns",
    )
    expected = {*ids(rows, list(debs)), *(f"{phase}:version" for phase in debs)}
    return results.parse(bounded.read(said, qemu.RESULTS_MAX), expected)


def _unpacked(debs: Sequence[Path], root: Path, log: Path) -> str:
    """Unpack packages and return the PATH of their programs."""
    deb_file.extract(debs, root, error=SmokeImpossible, log=log)
    # bin before sbin: /sbin/ip is a link to /bin/ip, which would be this machine's own.
    directories = ("usr/bin", "bin", "usr/sbin", "sbin")
    sandbox.run(
        ["env", f"PATH={':'.join([*directories, namespaces.PATH])}", "tc", "-V"],
        directory=root,
        drop_links=True,
        log=log,
        error=SmokeImpossible,
        brief=f"the tc of {debs[0].name} does not run on this machine",
        hint="it may need the libraries of another release; test in a guest: omit --place netns",
    )
    here = [str(root / name) for name in directories]
    return ":".join([*here, os.environ.get("PATH", os.defpath), "/usr/sbin:/sbin"])
