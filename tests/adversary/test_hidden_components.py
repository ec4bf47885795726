# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker is the author of a component with a hole or a back door. The aim is that it is part
of respin and named nowhere, so that nobody who looks for it finds it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from support import project
from support.cli import CHECKOUT
from support.project import LOCKS, entries

from pipeline.cli import doctor
from pipeline.config import distros


@pytest.mark.attack
def test_a_component_that_the_sbom_does_not_name() -> None:
    """`make sbom`: valid CycloneDX, each wheel of the lock with its hashes, each package."""
    script = CHECKOUT / "tools/sbom.py"
    argv = [sys.executable, str(script)]
    texts = [subprocess.run(argv, capture_output=True, check=True).stdout for _ in range(2)]
    assert texts[0] == texts[1], "the same input, the same bytes"
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(texts[0].decode()) is None
    document = json.loads(texts[0])
    assert validator.validate_str(json.dumps({**document, "bomFormat": "x"})), "refuses nothing"
    found = {each["purl"].partition("?")[0]: each for each in document["components"]}
    for name, hashes in entries(LOCKS[0]).items():
        has = found[f"pkg:pypi/{name.replace('==', '@')}"]["hashes"]
        assert {f"sha256:{each['content']}" for each in has} == set(hashes)
    names = {re.split("[/@]", purl)[2] for purl in found if purl.startswith("pkg:deb/")}
    here = distros.of_machine()
    needs = [n for n in doctor.needs() if n.distro in ("", here) and n.concerns]
    assert names == {need.package for need in needs}
    said = project.make("--dry-run", "sbom").stdout
    assert "tools/sbom.py >dist/sbom.part" in said


@pytest.mark.attack
def test_an_audit_that_has_looked_at_nothing() -> None:
    """`make audit` audits every wheel of both locks, and what cannot be audited fails it.

    The service that knows vulnerabilities is not asked here (--dry-run).
    """
    said = project.make("--dry-run", "audit").stdout
    calls = [line.split() for line in said.splitlines() if "pip-audit" in line]
    assert [call[-1] for call in calls] == [*LOCKS]
    for call, lock in zip(calls, LOCKS, strict=True):
        assert {"--strict", "--require-hashes", "--disable-pip"} <= set(call)
        argv = [str(Path(sys.executable).with_name("pip-audit")), *call[1:], "--dry-run"]
        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        count = re.search(r"would have audited (\d+) packages", done.stderr)
        # What the lock has for another Python or another system is not for this one.
        lines = re.findall(r"^[^\s#-].*?(?= *\\?$)", (CHECKOUT / lock).read_text(), re.M)
        markers = [Requirement(line).marker for line in lines]
        assert len(lines) == len(entries(lock))
        ours = sum(marker is None or marker.evaluate() for marker in markers)
        assert count and int(count[1]) == ours
