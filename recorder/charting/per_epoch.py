"""How does a number develop from epoch to epoch? Its mean over the steps of each epoch that were recorded.

What is not defined at a step, as a share of nothing, has no part in the mean; how many steps that left out is said.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from recorder.chart import Band, Chart, Line, Mark, Scale
from recorder.charting.captions import many
from recorder.errors import NotRecordedError
from recorder.runfile.schema import Clock
from recorder.view import At, RunView, Window

SPAN = 100.0  # means beyond this ratio are shown by factors


@dataclass(frozen=True)
class Curve:
    """One line of the chart: an item of a total over all tensors, the series that has it tensor by tensor, its words.

    Without words it is called by what the series' sentence says behind "with".
    """

    total: str  # the series of the total
    item: str
    series: str
    label: str = ""


@dataclass(frozen=True, eq=False)
class Means:
    """Of each epoch that has rows, all (epoch,): its number from 1, the mean, the least and the largest value."""

    epoch: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rows: int  # recorded steps
    undefined: int  # of these without a value


@dataclass(frozen=True)
class PerEpoch:
    """Draws means per epoch: over all tensors, or of the tensor `at.item`; an `Entry.draw`."""

    title: str
    unit: str
    curves: tuple[Curve, ...]

    def __call__(self, run: RunView, series: str, at: At, window: Window) -> Chart:  # noqa: ARG002 - it has curves
        marks: list[Mark] = []
        said: list[str] = []
        found: list[Means] = []
        for k, curve in enumerate(self.curves):
            home, item = (curve.total, curve.item) if at.item is None else (curve.series, at.item)
            if home not in run.series or item not in run.series[home].items:
                continue
            means = means_of(run, home, item, window)
            found.append(means)
            doc = run.series[curve.series].doc if curve.series in run.series else run.series[home].doc
            label = curve.label or doc.partition(" with ")[2].rstrip(".") or curve.series
            marks += _marks(means, label if len(self.curves) > 1 else self.title, k)
            said.append(f"{doc}{_left_out(means)}")
        where = "all tensors" if at.item is None else at.item
        title = self.title if at.item is None else f"{self.title}: {at.item}"
        if not found:
            names = ", ".join(dict.fromkeys(c.total for c in self.curves))
            raise NotRecordedError(f"{self.title}: {names} was not recorded of {where} in run {run.name!r}")
        caption = (
            f"{' '.join(dict.fromkeys(said))} {where}, mean over the recorded steps of each epoch ({_steps(found)})"
        )
        if any(isinstance(mark, Band) for mark in marks):
            caption += ", in a band from the smallest to the largest of them"
        scale = Scale(self.title, self.unit, log=_spread(found))
        return Chart(title, Scale("epoch"), scale, tuple(marks), f"{caption}.")


def means_of(run: RunView, series: str, item: str, window: Window = Window()) -> Means:  # noqa: B008 - frozen
    """The mean of an item over the rows of each epoch within the window."""
    clock, values = run.rows(series, item, Window(window.lo, window.hi, sys.maxsize))
    if not len(clock):
        nothing = np.zeros(0)
        return Means(nothing, nothing, nothing, nothing, 0, 0)
    starts = np.flatnonzero(np.diff(clock.epoch, prepend=clock.epoch[0] - 1))
    y = np.asarray(values, dtype=np.float64)
    defined = np.isfinite(y)
    count = np.add.reduceat(defined.astype(np.int64), starts)
    total = np.add.reduceat(np.where(defined, y, 0.0), starts)
    low = np.minimum.reduceat(np.where(defined, y, np.inf), starts)
    high = np.maximum.reduceat(np.where(defined, y, -np.inf), starts)
    some = count > 0
    mean, low, high = (np.where(some, v, np.nan) for v in (total / np.maximum(count, 1), low, high))
    return Means(epochs_of(clock)[starts], mean, low, high, len(y), int((~defined).sum()))


def epochs_of(clock: Clock) -> np.ndarray:
    """(row,) float64: the epoch that a row belongs to, counted from 1; the clock counts those that are complete."""
    return clock.epoch.astype(np.float64) + 1


def _marks(means: Means, label: str, colour: int) -> list[Mark]:
    line = Line(means.epoch, means.mean, label, colour=colour)
    if (means.high > means.low).any():
        return [Band(means.epoch, means.low, means.high, colour=colour), line]
    return [line]


def _steps(found: list[Means]) -> str:
    """How many epochs, and of how many steps."""
    epochs, rows = max(len(m.epoch) for m in found), max(m.rows for m in found)
    return f"{many(epochs, 'epoch', 'epochs')}, {many(rows, 'step', 'steps')}"


def _left_out(means: Means) -> str:
    return f" Not defined at {many(means.undefined, 'step', 'steps')}." if means.undefined else ""


def _spread(found: list[Means]) -> bool:
    """Whether positive means lie so far apart that only factors show all of them."""
    means = np.concatenate([m.mean for m in found])
    means = means[np.isfinite(means)]
    return bool(len(means) and means.min() > 0 and means.max() > SPAN * means.min())
