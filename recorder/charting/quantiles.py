"""How do the quantiles of a tensor's values develop? A line each, called by what it is: 5 %, 50 %, 95 %."""

from __future__ import annotations

import numpy as np

from recorder.analysis.turns import AT
from recorder.chart import Band, Chart, Line, Mark, Scale
from recorder.charting.captions import stretch, words
from recorder.charting.rules import explained, rules
from recorder.charting.time_axis import places, time_scale
from recorder.runfile.schema import Series
from recorder.view import RunView, Window

DIM = "quantile"
NAMES = tuple(f"{100 * share:g} %" for share in AT)
SPAN = 100.0  # positive values beyond this ratio are shown by factors


def has_quantiles(series: Series) -> bool:
    """Whether a row of the series is the quantiles AT."""
    return series.dims == (DIM,) and series.shape == (len(AT),)


def chart(run: RunView, series: Series, item: str, window: Window) -> Chart:
    """A line for each quantile over the steps, the outermost two around a band."""
    clock, values = run.rows(series.name, item, window)
    y = np.asarray(values, dtype=np.float64).reshape(len(clock), len(AT))
    x = places(clock, run.clock(series.name, item), window.x)
    title = words(series.name)
    happened = rules(run, clock.step, x, item=item)
    lines = [Line(x, y[:, k], name, colour=k) for k, name in reversed(list(enumerate(NAMES)))]
    finite = y[np.isfinite(y)]
    log = bool(len(finite) and finite.min() > 0 and finite.max() > SPAN * finite.min())
    undefined = int((~np.isfinite(y)).all(axis=1).sum())
    left_out = f" Not defined at {undefined:,} of these steps." if undefined else ""
    caption = f"{series.doc} {item}, {stretch(clock.step)}{explained(happened)}.{left_out}"
    band = Band(x, y[:, 0], y[:, -1], colour=len(AT) // 2)
    marks: tuple[Mark, ...] = (band, *lines, *happened) if len(clock) else ()
    return Chart(f"{title}: {item}", time_scale(window.x), Scale(title, series.unit, log=log), marks, caption)
