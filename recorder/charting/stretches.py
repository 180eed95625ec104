"""Which recorded steps does each bucket of a summarised window stand for, and where does it lie along x?

A bucket is placed at its first row; the chart still ends at the last row of the window, and so do its cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.chart import Limits
from recorder.charting.captions import stretch
from recorder.charting.time_axis import column_edges
from recorder.view import Envelope, RunView, Window


@dataclass(frozen=True, eq=False)
class Stretches:
    """First and last recorded step of each bucket, both (bucket,), and its edges (bucket + 1,) along x."""

    first: np.ndarray
    last: np.ndarray
    edges: np.ndarray
    steps: np.ndarray  # known places along x: the first row of each bucket, and the very last row
    x: np.ndarray
    summarised: bool  # some bucket stands for more than one row

    @property
    def limits(self) -> Limits | None:
        """The places of the first and the last row; None where nothing was recorded."""
        return (float(self.x[0]), float(self.x[-1])) if len(self.x) else None


def stretches(run: RunView, series: str, item: str | None, window: Window, e: Envelope) -> Stretches:
    """The stretches of the envelope that `run.window(series, window, item)` gave."""
    if e.rows <= len(e.x):
        return Stretches(e.step, e.step, column_edges(e.x), e.step, e.x, summarised=False)
    steps = run.clock(series, item).step
    stop = len(steps) if window.hi is None else int(np.searchsorted(steps, window.hi, side="right"))
    last = steps[np.append(np.searchsorted(steps, e.step[1:]), stop) - 1]
    end = float(run.window(series, Window(int(last[-1]), int(last[-1]), 1, window.x), item).x[0])
    half = (end - e.x[0]) / (e.rows - 1) / 2
    edges = np.append(e.x - half, end + half)
    return Stretches(e.step, last, edges, np.append(e.step, last[-1]), np.append(e.x, end), summarised=True)


def rows_of(e: Envelope, where: Stretches) -> str:
    """As in "100 rows of steps 0 to 990", where a bucket shows its first step only."""
    if where.summarised:
        return f"{e.rows:,} rows of steps {int(where.first[0]):,} to {int(where.last[-1]):,}"
    return stretch(e.step)
