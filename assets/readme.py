"""Which parts of the README are made from the code? Writes them anew between their marks: python assets/readme.py

A part stands between `<!-- NAME: made by make readme -->` and `<!-- end -->`; `PARTS` says what is written there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from recorder.catalogue import table

README = Path(__file__).parents[1] / "README.md"
PARTS: dict[str, Callable[[], str]] = {"instruments": table}


def filled(text: str) -> str:
    """The text with each part as the code has it now."""
    for name, make in PARTS.items():
        mark = f"<!-- {name}: made by make readme -->"
        pattern = re.compile(f"{re.escape(mark)}\n.*?<!-- end -->", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{README.name}: expected one part between {mark!r} and '<!-- end -->'")
        part = f"{mark}\n{make().strip()}\n<!-- end -->"
        text = pattern.sub(lambda _, part=part: part, text)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
