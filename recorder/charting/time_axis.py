"""Where does a recorded row stand on the time axis of a chart: at its step, its epoch or its second?"""

from __future__ import annotations

import numpy as np

from recorder.chart import Limits, Scale
from recorder.runfile.schema import Clock
from recorder.view import Time


def time_scale(x: Time, limits: Limits | None = None) -> Scale:
    """The horizontal scale of a chart over steps, epochs or seconds."""
    label, unit = {"step": ("step", ""), "epoch": ("epoch", ""), "time": ("time", "s")}[x]
    return Scale(label, unit, limits=limits)


def places(clock: Clock, whole: Clock, x: Time) -> np.ndarray:
    """Positions (row,) of the rows of `clock`, some of the rows of the axis' `whole` clock.

    An epoch becomes a fraction, linear in the steps between the first rows of two epochs, so that the rows of one
    epoch do not fall on one spot; seconds count from the axis' first row.
    """
    if x == "step" or not len(whole):
        return clock.step.astype(float)
    if x == "time":
        return clock.time - whole.time[0]
    first = np.flatnonzero(np.diff(whole.epoch, prepend=whole.epoch[0] - 1) > 0)
    step, epoch = whole.step[first].astype(float), whole.epoch[first].astype(float)
    if len(first) < 2:
        return clock.epoch.astype(float)
    pace = (epoch[-1] - epoch[-2]) / (step[-1] - step[-2])
    return np.interp(clock.step, step, epoch) + pace * np.maximum(clock.step - step[-1], 0)


def column_edges(x: np.ndarray) -> np.ndarray:
    """Edges (column + 1,) half-way between neighbouring positions (column,)."""
    if len(x) < 2:
        return np.array([*(x - 0.5), *(x + 0.5)]) if len(x) else np.zeros(1)
    between = (x[1:] + x[:-1]) / 2
    return np.array([x[0] - (between[0] - x[0]), *between, x[-1] + (x[-1] - between[-1])])


def stretches_of(edges: np.ndarray, where: np.ndarray) -> list[tuple[float, float]]:
    """(begin, end) of each run of columns between `edges` (column + 1,) in which `where` (column,) holds."""
    change = np.diff(np.concatenate([[False], where, [False]]).astype(np.int8))
    starts, ends = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    return [(float(edges[a]), float(edges[b])) for a, b in zip(starts, ends, strict=True)]
