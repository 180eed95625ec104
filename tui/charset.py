"""Which characters does the user's locale leave, and how is text said without the others?

Nothing heavy is imported here: commands that print a few lines use it too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rich.cells import cell_len

_SAME = str.maketrans(
    "✓✗●‼·…←→↑↓↔≥×▁▂▃▄▅▆▇█▐▌▎─━│┃╭╮╰╯┌┐└┘├┤┬┴┼▔–—∞",
    "+x*!-~<>^v->x_.-=+*#@|||-=||+++++++++++++---i",
)


def said(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The text as the user's locale can show it."""
    return to_ascii(text) if ascii_only(as_given(environ)) else text


def to_ascii(text: str) -> str:
    """The text in ASCII: what has a likeness takes it, all else becomes question marks, as many as it has cells."""
    text = text.translate(_SAME)
    return text if text.isascii() else "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


def ascii_only(environ: Mapping[str, str]) -> bool:
    """Does the locale leave nothing but ASCII? LC_ALL wins over LC_CTYPE, LC_CTYPE over LANG."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if value := environ.get(name):
            return "utf" not in value.lower()
    return False  # an empty environment is a container more often than an old terminal


def as_given(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as the user set it: under LANG=C Python adds an LC_CTYPE of its own (PEP 538)."""
    environment = dict(environ)
    try:
        first = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:  # not Linux: believe what is there
        return environment
    if environment.get("LANG") in ("C", "POSIX") and not any(word.startswith(b"LC_CTYPE=") for word in first):
        environment.pop("LC_CTYPE", None)
    return environment
