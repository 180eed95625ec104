"""How does each layer go together with each other one: at one step as a matrix, and one pair of them over the training?

The colours run over what the whole training has, so that a step can be compared with the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recorder.analysis.layer_pairs import layers_of, pair_name, square
from recorder.chart import Chart, Heat, Limits, Line, Mark, Plate, Rule, Scale, View
from recorder.charting.captions import about, labelled, many, words
from recorder.charting.curves import curve
from recorder.charting.default_chart import default_chart
from recorder.charting.probed import Probed
from recorder.charting.time_axis import places, time_scale
from recorder.probe import unsuffixed
from recorder.view import At, RunView, Window


@dataclass(frozen=True)
class LayerMatrix:
    """Draws a series of pairs of layers; an `Entry.draw`.

    `limits` are those of the colours, None: of all recorded steps. `floors` say, by series, what independent units
    would give on so many samples.
    """

    limits: Limits | None = None
    floors: Mapping[str, Callable[[int], float]] = field(default_factory=dict)

    def __call__(self, run: RunView, series: str, at: At, window: Window) -> View:
        """The matrix at a step above the curve of one pair; just the curve where the items are no pairs of layers."""
        s = run.series[series]
        if not layers_of(s.items):
            return default_chart(run, series, at, window)
        above = self.matrix(run, series, at)
        below = self.pair(run, series, at, window)
        caption = f"{above.caption} Below: {below.caption}"
        return Plate(((above,), (below,)), above.title, caption, heights=(3.0, 2.0))

    def matrix(self, run: RunView, series: str, at: At) -> Chart:
        """Layers by layers at the cursor's step."""
        s = run.series[series]
        layers = layers_of(s.items)
        step, row = run.row(series, at.step)
        limits, signed = self._colours(run, series)
        heat = Heat(square(np.asarray(row, float), s.items), label=labelled(s), limits=limits, diverging=signed)
        caption = f"{about(run, s)} {many(len(layers), 'layer', 'layers')} at step {step:,}."
        if self.limits is None:
            caption += " The colours run over all recorded steps."
        title = f"{words(series)}, step {step:,}"
        return Chart(title, Scale("layer", names=layers), Scale("layer", names=layers, reverse=True), (heat,), caption)

    def pair(self, run: RunView, series: str, at: At, window: Window) -> Chart:
        """One pair over the steps, with the floor of independent units, and the step that is shown beside it."""
        s = run.series[series]
        item = _first_with_last(s.items) if at.item is None else at.item
        one = curve(run, series, item, window)
        marks: list[Mark] = list(one.marks)
        n, caption = Probed(run, series).samples, f"{item}, {one.caption}"
        floor = self.floors.get(unsuffixed(series)[0])
        if floor is not None and n > 1 and one.limits is not None:
            level = floor(n)
            ends = np.array(one.limits)
            marks.append(Line(ends, np.full(2, level), "independent units", colour=6, dashed=True, steps=True))
            caption += f"; {n:,} samples of independent units would give {level:.3g}"
        if at.step is not None and (shown := _place(run, series, item, at.step, window)) is not None:
            marks.append(Rule(shown, role="cursor"))
        y = Scale(words(series), s.unit, limits=self.limits)
        return Chart(item, time_scale(window.x, one.limits), y, tuple(marks), f"{caption}.")

    def _colours(self, run: RunView, series: str) -> tuple[Limits | None, bool]:
        """The ends of the colours, and whether they are centred at 0."""
        if self.limits is not None:
            return self.limits, self.limits[0] < 0
        e = run.window(series, Window(points=1))
        finite = np.concatenate([np.ravel(e.min), np.ravel(e.max)])
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            return None, False
        if finite.min() < 0:
            largest = float(np.abs(finite).max())
            return (-largest, largest), True
        return (0.0, float(finite.max()) or 1.0), False


def _first_with_last(items: Sequence[str]) -> str:
    """The pair of the first and the last layer, or the first pair that there is."""
    layers = layers_of(items)
    wanted = pair_name(layers[0], layers[-1])
    return wanted if wanted in items else items[0]


def _place(run: RunView, series: str, item: str, step: int, window: Window) -> float | None:
    """Where the row at or before a step stands along x."""
    whole = run.clock(series, item)
    row = int(np.searchsorted(whole.step, step, side="right")) - 1
    if row < 0:
        return None
    one = replace(whole, step=whole.step[[row]], epoch=whole.epoch[[row]], time=whole.time[[row]])
    return float(places(one, whole, window.x)[0])
