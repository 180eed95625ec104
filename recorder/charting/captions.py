"""How do titles and captions say what was drawn, and how much of it?"""

from __future__ import annotations

import numpy as np

from recorder.charting.probed import Probed
from recorder.runfile.schema import Series
from recorder.view import RunView


def words(name: str) -> str:
    """A series' name as words: gradient_norm -> gradient norm."""
    return name.replace("_", " ")


def labelled(series: Series) -> str:
    """The series' name with its unit, for a colour bar."""
    return words(series.name) + (f" ({series.unit})" if series.unit not in ("", "1") else "")


def stretch(steps: np.ndarray) -> str:
    """As in "step 7" or "100 rows of steps 0 to 990"."""
    if not len(steps):
        return "no rows"
    if len(steps) == 1:
        return f"step {int(steps[0]):,}"
    return f"{len(steps):,} rows of steps {int(steps[0]):,} to {int(steps[-1]):,}"


def about(run: RunView, series: Series) -> str:
    """What a series is; on how many samples, where it was measured on the probe batch."""
    samples = Probed(run, series.name).samples
    if not series.axis.endswith("_probe") or samples < 1:
        return series.doc
    return f"{series.doc} Probe batch of {many(samples, 'sample', 'samples')}."


def many(n: int, one: str, more: str) -> str:
    """As in "1 value is" or "1,200 values are"."""
    return f"{n:,} {one if n == 1 else more}"
