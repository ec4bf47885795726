"""Where the project's data (patches/, templates/, packages.txt) lies.

In a checkout it stands beside the package; in an installed wheel inside it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


def data_path(*parts: str) -> Path:
    """Return the path of a file or folder of the project's data.

    Raises FileNotFoundError if the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for base in (package / "_data", package.parent):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"{'/'.join(parts)} is missing from this installation")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_path("templates")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Templates make C, shell and deb822 text; a page that is HTML escapes by its name.
        autoescape=jinja2.select_autoescape(["html", "html.j2"], default=False),
    )


def render(template: str, /, **values: object) -> str:
    """Fill in templates/<template>; a hole without a value is an error."""
    return _environment().get_template(template).render(**values)
