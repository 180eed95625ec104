"""How is the user told that something went wrong while the training goes on? By one warning at a line of theirs."""

from __future__ import annotations

import sys
import warnings


def warn(text: str) -> None:
    """A UserWarning that points at the first line outside this package."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(f"layerscope: {text}", stacklevel=level)
