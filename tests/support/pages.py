# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages in a browser: their width, their colours, and that they fetch and run nothing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

HARNESS = """<!DOCTYPE html><iframe id="f" src="{name}" style="width:{width}px;height:3000px">
</iframe><script>onload = () => {{
  const d = document.getElementById("f").contentDocument;
  const wide = [...d.querySelectorAll("body *")].filter(e => !e.closest(".scroll")
    && e.getBoundingClientRect().right > {width} + 1).map(e => e.tagName);
  document.title = "width " + d.documentElement.scrollWidth + " wide " + wide.join(" ")
    + " font " + getComputedStyle(d.querySelector("{text}")).fontSize
    + " scripts " + d.scripts.length + " outside "
    + d.querySelectorAll("link, [src], iframe, object, embed").length;
}}</script>"""


def browser(*argv: str | Path, cwd: Path) -> str:
    # As root, Chromium has no sandbox of its own; the page is ours.
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += [f"--user-data-dir={cwd / 'profile'}", "--allow-file-access-from-files"]
    done = subprocess.run(
        ["chromium", *options, *argv],
        cwd=cwd,
        env={**os.environ, "HOME": str(cwd)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def fits(page: Path, width: int, *, text: str) -> None:
    """Hold that nothing is wider than the screen, too small to read, fetched or run.

    ``text`` selects an element with text of the ordinary size.
    """
    directory = page.parent
    harness = HARNESS.format(name=page.name, width=width, text=text)
    (directory / f"harness{width}.html").write_text(harness)
    url = f"file://{directory}/harness{width}.html"
    seen = browser("--dump-dom", "--virtual-time-budget=5000", url, cwd=directory)
    title = re.search(r"<title>(.*?)</title>", seen)
    assert title, seen[:500]
    match = re.fullmatch(
        r"width (\d+) wide (.*) font (\d+)px scripts (\d+) outside (\d+)", title[1]
    )
    assert match, title[1]
    assert int(match[1]) <= width and match[2] == "" and int(match[3]) >= 16, title[1]
    assert (match[4], match[5]) == ("0", "0")


def holds_both_schemes(text: str) -> None:
    """Hold that every colour is a variable, and that each has a value in light and in dark."""
    style = text.partition("<style>")[2].partition("</style>")[0]
    light, dark = re.findall(r":root \{(.*?)\}", style)
    names = set(re.findall(r"--[a-z-]+(?=:)", light))
    assert names == set(re.findall(r"--[a-z-]+(?=:)", dark))
    rest = style.replace(light, "").replace(dark, "")
    assert not re.findall(r"#[0-9a-f]{3,8}\b|rgb|hsl", rest)
    assert set(re.findall(r"var\((--[a-z-]+)\)", rest)) <= names
    assert not re.findall(r"(?:color|background): (?!var\()", rest)
