"""What happened in the last steps before an anomaly, step by step? A table of what the flight recorder kept."""

from __future__ import annotations

import numpy as np

from recorder.analysis.statistics import total_norm
from recorder.chart import Chart, Table
from recorder.charting.captions import many
from recorder.runfile.guard import clean
from recorder.view import At, RunView, Window

NAME = "flight"
DOC = "The steps before each anomaly: the numbers of the step, the gradient norm of all tensors, and the batch."
NUMBERS, BATCH, NORM, NONFINITE = "flight_scalars", "flight_batch", "flight_gradient_norm", "flight_gradient_nonfinite"
TIMES = ("step_time", "overhead_time")  # which are charts of their own
MOST = 1 << 16  # rows, each of which is wanted


def chart(run: RunView, series: str, at: At, window: Window) -> Chart:
    """The steps within the window as rows; the one at or before the cursor is marked."""
    whole = Window(window.lo, window.hi, MOST)
    steps = run.window(series, whole).step.tolist()
    if not steps:
        return Chart(NAME, caption=f"{DOC} Nothing in this stretch.")
    columns = {name: _numbers(run, name, whole) for name in run.series[series].items if name not in TIMES}
    if NORM in run.series:
        columns["gradient_norm"] = _norms(run, whole)
    if BATCH in run.series:
        clock, texts = run.rows(BATCH, "batch", whole)
        words = (clean(text.decode("utf-8", "replace")) for text in texts)
        columns["batch"] = dict(zip(clock.step.tolist(), words, strict=True))
    rows = tuple((f"{step:,}", *(of.get(step, "") for of in columns.values())) for step in steps)
    row = len(steps) - 1 if at.step is None else max(int(np.searchsorted(steps, at.step, side="right")) - 1, 0)
    caption = f"{DOC} {many(len(rows), 'step', 'steps')}, {steps[0]:,} to {steps[-1]:,}."
    return Chart(NAME, marks=(Table(("step", *columns), rows, row=row),), caption=caption)


def _numbers(run: RunView, name: str, window: Window) -> dict[int, str]:
    clock, values = run.rows(NUMBERS, name, window)
    return dict(zip(clock.step.tolist(), map("{:.4g}".format, values.tolist()), strict=True))


def _norms(run: RunView, window: Window) -> dict[int, str]:
    norms, bad = run.window(NORM, window), run.window(NONFINITE, window).max
    totals = [total_norm(row, counts) for row, counts in zip(norms.mean, bad, strict=True)]
    return dict(zip(norms.step.tolist(), map("{:.4g}".format, totals), strict=True))
