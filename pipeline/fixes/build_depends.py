# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a source package's debian/ directory says about its build."""

from __future__ import annotations

from pathlib import Path

from debian.deb822 import Deb822, PkgRelation

from pipeline.files import bounded

FIELDS = ("Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep")
EVERYWHERE = {"any", "linux-any"}
"""Architecture wildcards that match every architecture iproute2 is built for."""


def build_dependency(debian: Path, package: str) -> tuple[bool | None, str]:
    """Return whether a source is built with a package, and the reason.

    ``debian`` is the source's debian/ directory. None means that it depends on the architecture,
    the build profile or the builder. Without debian/control the package is assumed to be used.
    """
    control = debian / "control"
    if not control.is_file():
        return True, "there is no debian/control"
    # Only the first paragraph of debian/control is about the source.
    try:
        text = bounded.text(control, bounded.SMALL, errors="replace").strip()
        source = Deb822(text.split("\n\n")[0])
    except (OSError, ValueError) as e:
        return None, f"debian/control cannot be read: {e}"
    conflicts = source.get("Build-Conflicts", "")
    if any(name == package for name, _ in _alternatives(conflicts)):
        return None, f"{package} is a build conflict"
    found = [
        (name, sure)
        for field in FIELDS
        for name, sure in _alternatives(source.get(field, ""))
        if name == package
    ]
    if not found:
        return False, f"{package} is not a build dependency"
    if not any(sure for _, sure in found):
        return None, f"{package} is only a conditional build dependency"
    return True, f"{package} is a build dependency"


def _alternatives(field: str) -> list[tuple[str, bool]]:
    """Return each package that a relation field names, and whether it is the only choice."""
    text = "\n".join(line for line in field.splitlines() if not line.startswith("#"))
    if not text.strip(", \n"):
        return []
    return [
        (
            one["name"],
            len(relation) == 1
            and not one["restrictions"]
            and all(arch.enabled and arch.arch in EVERYWHERE for arch in one["arch"] or ()),
        )
        for relation in PkgRelation.parse_relations(text.strip(", \n"))
        for one in relation
    ]
