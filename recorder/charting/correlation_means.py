"""How do the mean correlations of all layers develop, epoch by epoch: within each one, and with the next one?

The signed mean cancels where there are many units, so that of |r| stands above it, with what independent units would
give on as many samples.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recorder.analysis.correlation import noise_floor
from recorder.analysis.layer_pairs import layers_of, pair_name
from recorder.chart import Chart, Line, Mark, Plate, Scale, View
from recorder.charting.captions import about, many, stretch
from recorder.charting.probed import Probed, beside
from recorder.charting.time_axis import places
from recorder.view import At, RunView, Window

ABSOLUTE = "correlation_mean_abs"
MOST = 5  # layers that are drawn: as many colours can be told apart


@dataclass(frozen=True)
class CorrelationMeans:
    """Draws the means of all steps, whatever the cursor's; an `Entry.draw`."""

    over_steps: ClassVar[bool] = True

    def __call__(self, run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG002 - over all steps
        """`series` holds the signed means; those of |r| are drawn above them where they were recorded."""
        absolute = beside(series, ABSOLUTE)
        panels = [_panel(run, name, window) for name in (absolute, series) if name in run.series]
        if len(panels) == 1:
            return panels[0]
        caption = f"{panels[0].caption} Below: {panels[1].caption}"
        return Plate(tuple((one,) for one in panels), "correlation means", caption, share_x=True)


chart = CorrelationMeans()


def _panel(run: RunView, series: str, window: Window) -> Chart:
    s = run.series[series]
    layers = layers_of(s.items)
    weighted = {t["layer"] for t in run.meta.get("tensors", ()) if len(t["shape"]) > 1}
    layers = tuple(name for name in layers if name in weighted) or layers
    shown = [layers[k] for k in np.unique(np.linspace(0, len(layers) - 1, min(len(layers), MOST)).round().astype(int))]
    marks: list[Mark] = []
    ends: list[float] = []
    steps = np.zeros(0, int)
    for k, layer in enumerate(shown):
        for other, dashed in ((layer, False), (shown[k + 1] if k + 1 < len(shown) else "", True)):
            item = pair_name(layer, other)
            if item not in s.items:
                continue
            clock, values = run.rows(series, item, Window(window.lo, window.hi, sys.maxsize))
            x = places(clock, run.clock(series, item), "epoch")
            label = layer if not dashed else item
            marks.append(Line(x, np.asarray(values, float), label, colour=k, dashed=dashed))
            ends += x[[0, -1]].tolist() if len(x) else []
            steps = clock.step if len(clock) > len(steps) else steps
    n = Probed(run, series).samples
    caption = f"{about(run, s)} Each layer with itself, and dashed with the next one shown"
    if len(shown) < (every := len(layers_of(s.items))):
        caption += f" ({len(shown)} of {many(every, 'layer', 'layers')}"
        caption += ", those with weights)" if len(shown) == len(layers) else ")"
    if series.partition("@")[0] == ABSOLUTE and n > 1 and ends:
        level = np.full(2, noise_floor(n))
        marks.append(Line(np.array([min(ends), max(ends)]), level, "independent units", 6, dashed=True, steps=True))
        caption += f"; {many(n, 'sample', 'samples')} of independent units would give {level[0]:.3g}"
    name = "mean |r|" if series.partition("@")[0] == ABSOLUTE else "mean r"
    return Chart(name, Scale("epoch"), Scale(name), tuple(marks), f"{caption}, {stretch(steps)}.")
