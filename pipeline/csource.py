"""Just enough C to tell code from what only looks like it.

Coccinelle reads the code; this says what Coccinelle left unread.
"""

from __future__ import annotations

import re

_SKIPPED = re.compile(
    r"/\*.*?(?:\*/|\Z)"  # a comment
    r"|//(?:\\\n|[^\n])*"
    r'|"(?:\\.|[^"\\\n])*(?:"|$)'  # a string
    r"|'(?:\\.|[^'\\\n])*(?:'|$)",
    re.DOTALL | re.MULTILINE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|else|elif|endif)\b[ \t]*(.*?)[ \t]*$")


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _without_if_0(text: str) -> str:
    """Blank the code between ``#if 0`` and its ``#else`` or ``#endif``."""
    out: list[str] = []
    nest: list[bool] = []  # for each open conditional: is this branch an #if 0?
    for line in text.split("\n"):
        found = _DIRECTIVE.match(line)
        if found:
            word, rest = found[1], found[2]
            if word in ("if", "ifdef", "ifndef"):
                nest.append(word == "if" and rest == "0")
            elif nest and word in ("else", "elif"):
                nest[-1] = False
            elif nest:
                nest.pop()
        out.append(_blank(line) if any(nest) and not found else line)
    return "\n".join(out)


def code_only(text: str) -> str:
    """Return C source with comments, strings and ``#if 0`` blanked; offsets and lines stay."""
    return _without_if_0(_SKIPPED.sub(lambda m: _blank(m[0]), text))


def definitions(code: str, function: str) -> list[tuple[int, str]]:
    """Return where ``code`` (of ``code_only``) defines a function: (line from 1, its text).

    The text runs from the function's name to the brace that ends it, or to the end of the
    file if there is none.
    """
    found = []
    for match in re.finditer(rf"\b{re.escape(function)}\s*\([^;{{}}()]*\)\s*\{{", code):
        depth = 0
        end = len(code)
        for brace in re.finditer(r"[{}]", code[match.end() - 1 :]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                end = match.end() - 1 + brace.end()
                break
        found.append((code.count("\n", 0, match.start()) + 1, code[match.start() : end]))
    return found


def mentions(code: str, word: str) -> int:
    """Return how often a word stands in code."""
    return len(re.findall(rf"\b{re.escape(word)}\b", code))
