# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the project's data lies: one mechanism, in a checkout and in an installed package.

What one module reads stands beside it. What stands at the top of a checkout (patches/,
templates/, packages.txt) is also in pipeline/_data: as links there, as copies in a wheel.
"""

from __future__ import annotations

import fnmatch
import importlib.resources
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipeline.text import quoting, visible

if TYPE_CHECKING:
    import jinja2


def package_data(package: str, *parts: str) -> Path:
    """Return the path of a file or directory of data that stands beside a package's modules.

    ``package`` is its dotted name. Raises FileNotFoundError if the installation lacks it.
    """
    # Programs are given these files by name, so they are files on a disk, never in an archive.
    path = Path(str(importlib.resources.files(package).joinpath(*parts)))
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing from this installation")
    return path


def project_data(*parts: str) -> Path:
    """Return the path of something at the top of a checkout: ``project_data("patches")``.

    Raises FileNotFoundError if the installation lacks it.
    """
    return package_data("pipeline", "_data", *parts)


LANGUAGES: Mapping[str, Callable[[str], str]] = {
    "apt.conf.j2": quoting.apt_conf,
    "dep3.patch.j2": quoting.folded,
    "commit.patch.j2": quoting.folded,
    "repository/*.j2": quoting.deb822,
    "schedule/systemd.*.j2": quoting.word,
    "schedule/crontab.j2": quoting.word,
    "engines/*.yaml.j2": quoting.yaml,
    "engines/*.yml.j2": quoting.yaml,
    "engines/*.toml.j2": quoting.toml,
    "engines/*.cfg.j2": quoting.python,
    "engines/*.sh.j2": quoting.shell,
    "guest/*.sh.j2": quoting.shell,
    "unpacked/*.sh.j2": quoting.shell,
    "objects/*.j2": quoting.c,
    "*.html.j2": visible.lines,  # and markup is escaped by the name
}
"""Names of templates -> how values for their holes are written in their language."""


def language(template: str) -> Callable[[str], str]:
    """Return how a value is written in a template's language. Raises KeyError if it is unknown."""
    for pattern, write in LANGUAGES.items():
        if fnmatch.fnmatchcase(template, pattern):
            return write
    raise KeyError(f"the language of the template {template} is not known: see LANGUAGES")


@cache
def _environment(write: Callable[[str], str]) -> jinja2.Environment:
    import jinja2  # 26 ms, and most commands fill in nothing

    def fill(value: object) -> object:
        """Write a value; Markup and Raw are written already."""
        plain = isinstance(value, str | Path) and not isinstance(value, Markup | quoting.Raw)
        return write(str(value)) if plain else value

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(project_data("templates")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=jinja2.select_autoescape(["html.j2"], default=False),
        finalize=fill,
    )
    environment.filters["raw"] = quoting.Raw
    environment.filters["link"] = quoting.link
    return environment


def render(template: str, /, **values: object) -> str:
    """Fill in templates/<template>; a hole without a value is an error.

    Each value is written by the rule of the template's language. Raises UsageError for one that
    cannot stand there.
    """
    return _environment(language(template)).get_template(template).render(**values)
