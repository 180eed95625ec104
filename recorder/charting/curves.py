"""How is one item drawn over the steps?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recorder.chart import Band, Limits, Line, Mark
from recorder.charting.gaps import counted, not_finite, shaded
from recorder.charting.rules import explained, rules
from recorder.charting.stretches import rows_of, stretches
from recorder.view import Envelope, RunView, Window

BOXES = 100  # shaded stretches beyond this hide what they mark; the caption still counts them


@dataclass(frozen=True, eq=False)
class Curve:
    """The marks of one item over steps, where they begin and end along x, and what they are."""

    marks: tuple[Mark, ...]
    limits: Limits | None
    caption: str


def curve(run: RunView, series: str, item: str, window: Window, *, colour: int = 0) -> Curve:
    """One item over steps: its mean, the band from smallest to largest, shaded where it has gaps, and what happened."""
    e = run.window(series, window, item)
    where = stretches(run, series, item, window, e)
    marks: list[Mark] = []
    if where.summarised:
        marks.append(Band(e.x, e.min, e.max, colour=colour))
    y = _with_infinities(run, series, item, window, e)
    marks.append(Line(e.x, y, label=item, colour=colour))
    bad = not_finite(run, run.series[series], item, window, e) | np.isinf(y)
    marks += shaded(where.edges, e.nonfinite > 0, bad)[:BOXES]
    happened = rules(run, where.steps, where.x, item=item)
    caption = rows_of(e, where)
    if where.summarised:
        caption += f", as the mean of {len(e.x):,} stretches with a band from smallest to largest"
    return Curve((*marks, *happened), where.limits, caption + counted(e, bad) + explained(happened))


def _with_infinities(run: RunView, series: str, item: str, window: Window, e: Envelope) -> np.ndarray:
    """The means; where each of them is one row, what was infinite is so again rather than not defined."""
    if e.rows > len(e.x) or not e.nonfinite.any():
        return e.mean
    clock, values = run.rows(series, item, replace(window, points=len(e.x)))
    values = np.asarray(values).astype(float)
    return np.where(np.isinf(values), values, e.mean) if np.array_equal(clock.step, e.step) else e.mean
