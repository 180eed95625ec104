"""How far has each layer come from its first step, how near is it to its last one, and when did it change?

Debiased linear CKA between the same layer at different steps: the Gram matrices that were recorded are U-centred and of
length 1, so that it is the sum over the product of two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from recorder.chart import Chart, Heat, Scale
from recorder.charting.captions import many, stretch
from recorder.charting.time_axis import column_edges, places, time_scale
from recorder.runfile.schema import Clock
from recorder.view import At, RunView, Window

BYTES = 32 << 20  # of Gram matrices that one map is made of
STEPS = 200  # and the most steps of it
LIMITS = (0.0, 1.0)


@dataclass(frozen=True)
class CkaMap:
    """Draws layers x steps against the "first" or the "last" step, or "steps" x steps of one layer; an `Entry.draw`."""

    against: Literal["first", "last", "steps"]
    over_steps: ClassVar[bool] = True  # whatever the cursor's step

    def __call__(self, run: RunView, series: str, at: At, window: Window) -> Chart:
        """The map; `series` holds the Gram matrices."""
        return self._of_layer(run, series, at, window) if self.against == "steps" else self._of_all(run, series, window)

    def _of_all(self, run: RunView, series: str, window: Window) -> Chart:
        layers = run.series[series].items
        rows = [self._row(run, series, layer, window) for layer in layers]
        steps = np.unique(np.concatenate([clock.step for clock, _ in rows]))
        title = f"CKA with the {self.against} step"
        if not len(steps):
            return Chart(title, caption=f"{title}: nothing recorded in this stretch.")
        cells = np.full((len(layers), len(steps)), np.nan)
        clocks = [clock for clock, _ in rows]
        for k, (clock, values) in enumerate(rows):
            cells[k, np.searchsorted(steps, clock.step)] = values
        clock = max(clocks, key=len)
        x = places(clock, run.clock(series, layers[0]), window.x)
        x = np.interp(steps, clock.step, x)
        heat = Heat(cells, column_edges(x), label="CKA", limits=LIMITS, column_steps=steps)
        down = Scale("layer", names=layers, reverse=True)
        which = "first recorded step" if self.against == "first" else "last recorded step with finite numbers"
        caption = f"{_about(run, series)} Each layer with itself at the {which}."
        caption += f" {many(len(layers), 'layer', 'layers')}, {stretch(steps)}."
        return Chart(title, time_scale(window.x), down, (heat,), caption)

    def _row(self, run: RunView, series: str, layer: str, window: Window) -> tuple[Clock, np.ndarray]:
        """One layer: its CKA at each step with itself at the first or the last one of the run."""
        clock, grams = _grams(run, series, layer, window)
        if not len(clock):
            return clock, np.zeros(0)
        return clock, np.clip(grams @ self._end(run, series, layer), -1, 1)

    def _end(self, run: RunView, series: str, layer: str) -> np.ndarray:
        """The Gram matrix of the first or the last step of the run; of a run that went bad of the last that is one."""
        end = None if self.against == "last" else int(run.clock(series, layer).step[0])
        gram = np.asarray(run.row(series, end, layer)[1], float).ravel()
        if self.against == "last" and np.isnan(gram).any():
            _, grams = _grams(run, series, layer, Window())
            defined = grams[~np.isnan(grams).any(axis=1)]
            return defined[-1] if len(defined) else gram
        return gram

    def _of_layer(self, run: RunView, series: str, at: At, window: Window) -> Chart:
        item = at.item_of(run.series[series])
        clock, grams = _grams(run, series, item, window)
        title = f"CKA of steps: {item}"
        if not len(clock):
            return Chart(title, caption=f"{title}: nothing recorded in this stretch.")
        heat = Heat(np.clip(grams @ grams.T, -1, 1), label="CKA", limits=LIMITS, column_steps=clock.step)
        names = tuple(f"{int(step):,}" for step in clock.step)
        caption = f"{_about(run, series)} {item} with itself at other steps, {stretch(clock.step)}."
        return Chart(title, Scale("step", names=names), Scale("step", names=names, reverse=True), (heat,), caption)


def _grams(run: RunView, series: str, layer: str, window: Window) -> tuple[Clock, np.ndarray]:
    """The clock, and (step, sample x sample): of as many steps as fit into the memory of one map."""
    s = run.series[series]
    size = prod(s.shape_of(layer))
    points = int(np.clip(BYTES // max(8 * size * len(s.items), 1), 16, STEPS))
    clock, grams = run.rows(series, layer, Window(window.lo, window.hi, min(points, window.points), window.x))
    return clock, np.asarray(grams, float).reshape(len(clock), size)


def _about(run: RunView, series: str) -> str:
    """What is drawn, on how many samples; which of the probe's these are, the series says."""
    s = run.series[series]
    return f"Debiased linear CKA on {many(s.shape_of(s.items[0])[0], 'sample', 'samples')} of the probe."
