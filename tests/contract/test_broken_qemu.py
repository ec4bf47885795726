# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that ends at once: a sentence with its own words, and nothing is proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import TestbedLost
from pipeline.vm import qemu
from pipeline.vm.machine import machine_for

pytestmark = pytest.mark.bad_input


@pytest.mark.parametrize("end", ["exit 1", "kill -SEGV $$"])
def test_a_qemu_that_ends_at_once(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(f"#!/bin/sh\necho 'qemu: unsupported CPU' >&2\n{end}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(qemu, "program", lambda _: str(fake))
    monkeypatch.setattr(qemu, "_wall", lambda *_, **__: [])
    guest = qemu.Guest(
        machine=machine_for("s390x"),
        kernel=tmp_path / "vmlinuz",
        initramfs=tmp_path / "initramfs",
        results=tmp_path / "said",
        console=tmp_path / "console",
    )
    with pytest.raises(TestbedLost) as e:
        qemu.run(guest, accel="tcg", limit=20, log=None)
    said = str(e.value.brief)
    assert said == "the guest was lost: qemu-system-s390x ended before the guest wrote anything"
    assert "unsupported CPU" in e.value.details and "nothing is proven" in e.value.hint
