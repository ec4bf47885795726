# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print what respin is made of, as CycloneDX in JSON: python tools/sbom.py >sbom.cdx.json

It has the wheels of requirements.lock, as cyclonedx-py reads them, and the Debian packages of
packages.txt in the versions that are installed here (of those, not what they depend on). It is
held against CycloneDX's schema before it is printed; the same input gives the same bytes.
Exits with 1 and a sentence if a package is not installed.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from pipeline import __version__
from pipeline.cli import doctor
from pipeline.config import distros

CHECKOUT = Path(__file__).resolve().parents[1]
SCHEMA = SchemaVersion.V1_6


def wheels() -> dict[str, Any]:
    """Return the document that cyclonedx-py makes of the lock."""
    argv = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements"]
    argv += ["--pyproject", "pyproject.toml", "--output-reproducible"]
    argv += ["--sv", SCHEMA.to_version(), "requirements.lock"]
    done = subprocess.run(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    for each in document["components"]:
        # The lines of the lock as they stand, a thousand characters each, and where an index
        # would have them; the hashes stand beside it.
        del each["description"]
        each["bom-ref"] = each["purl"]
        each["hashes"] = each.pop("externalReferences")[0]["hashes"]
    return document


def debian() -> list[dict[str, str]]:
    """Return a component for each package of packages.txt, as dpkg has it here."""
    system = distros.of_machine()
    here = [n for n in doctor.needs() if n.distro in ("", system) and n.concerns]
    names = [name for need in here for name in need.package.split("|")]
    form = "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"
    argv = ["dpkg-query", "--show", f"--showformat={form}", "--", *names]
    shown = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout
    rows = [line.split("\t") for line in shown.splitlines()]
    installed = sorted(row[:3] for row in rows if row[3] == "installed")
    there = {name for name, _, _ in installed}
    missing = sorted(n.package for n in here if there.isdisjoint(n.package.split("|")))
    if missing:
        sys.exit(f"tools/sbom.py: not installed here: {' '.join(missing)}; make packages mends it")
    return [_package(*row) for row in installed]


def _package(name: str, version: str, architecture: str) -> dict[str, str]:
    system = platform.freedesktop_os_release()
    more = {"arch": architecture, "distro": f"{system['ID']}-{system.get('VERSION_ID', 'sid')}"}
    purl = PackageURL("deb", system["ID"], name, version, more).to_string()
    return {"bom-ref": purl, "name": name, "purl": purl, "type": "library", "version": version}


def sbom() -> str:
    """Return the whole document. Raises SystemExit if it is not valid."""
    document = wheels()
    document["components"] += debian()
    document["components"].sort(key=lambda each: str(each["purl"]))
    references = [each["bom-ref"] for each in document["components"]]
    document["metadata"]["component"]["version"] = __version__
    root = document["metadata"]["component"]["bom-ref"]
    document["dependencies"] = [{"ref": root, "dependsOn": references}]
    document["dependencies"] += [{"ref": each} for each in references]
    text = json.dumps(document, indent=2, sort_keys=True)
    wrong = JsonStrictValidator(SCHEMA).validate_str(text)
    if wrong is not None:
        sys.exit(f"tools/sbom.py: this is no CycloneDX: {wrong}")
    return text


if __name__ == "__main__":
    print(sbom())
