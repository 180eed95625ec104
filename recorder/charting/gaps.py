"""Where a curve has a gap: was a value met that is not finite, or was there nothing to measure?

In a run, NaN means "not defined here": a tensor that was not updated, the first update of a tensor of zeros, a scalar
that was not given. What was met that is not finite is known by other signs: the count that the same instrument keeps
of it (`gradient_nonfinite`), the health finding of the item where there is no count, and an infinity itself.
"""

from __future__ import annotations

import numpy as np

from recorder.analysis.health import findings
from recorder.chart import Box
from recorder.charting.captions import many
from recorder.charting.time_axis import stretches_of
from recorder.runfile.schema import Series
from recorder.view import Envelope, RunView, Window

NOT_FINITE, NO_VALUE = "not finite", "no value"


def not_finite(run: RunView, series: Series, item: str | None, window: Window, e: Envelope) -> np.ndarray:
    """Which buckets of the envelope, (bucket,) or (bucket, item), met a value that is not finite."""
    gaps = e.nonfinite > 0
    if not gaps.any():
        return gaps
    counts = _counts(run, series)
    if counts is None:
        return gaps & _found(run, series, item, e.step)
    found = run.window(counts, window, item)
    return gaps & (found.max > 0) if np.array_equal(found.step, e.step) else np.zeros_like(gaps)


def shaded(edges: np.ndarray, gaps: np.ndarray, bad: np.ndarray) -> tuple[Box, ...]:
    """The stretches of columns (column,) between `edges` (column + 1,) with a gap, those that are `bad` first."""
    return tuple(
        Box(x0, x1, label=label, role=role)
        for where, label, role in ((bad, NOT_FINITE, "bad"), (gaps & ~bad, NO_VALUE, "gap"))
        for x0, x1 in stretches_of(edges, where)
    )


def counted(e: Envelope, bad: np.ndarray) -> str:
    """As in "; 1 value is not finite; 20 rows have no value", for a caption."""
    wrong = int(e.nonfinite[bad].sum())
    empty = int(e.nonfinite.sum()) - wrong
    one, more = ("row has", "rows have") if e.nonfinite.ndim == 1 else ("entry has", "entries have")
    said = f"; {many(wrong, 'value is', 'values are')} {NOT_FINITE}" if wrong else ""
    return said + (f"; {many(empty, one, more)} {NO_VALUE}" if empty else "")


def _found(run: RunView, series: Series, item: str | None, steps: np.ndarray) -> np.ndarray:
    """Buckets (bucket,) or (bucket, item) that end behind the first step at which the item was found not finite."""
    since: dict[str, int] = {}
    for f in findings(run.events):
        if f.finding == "not_finite":
            for name in (f.item, f.item.rpartition(" ")[0]):  # "loss", "fc1.weight gradient"
                since.setdefault(name, f.step)
    ends = np.append(steps[1:] - 1, np.iinfo(np.int64).max) if len(steps) else steps
    first = np.array([since.get(name, np.inf) for name in ((item,) if item is not None else series.items)])
    behind = ends[:, None] >= first
    return behind[:, 0] if item is not None else behind


def _counts(run: RunView, series: Series) -> str | None:
    """The series in which the same instrument counts what was not finite, at the same steps of the same items."""
    for name, s in run.series.items():
        same = (s.instrument, s.axis, s.items) == (series.instrument, series.axis, series.items)
        if same and name.endswith("_nonfinite") and name != series.name:
            return name
    return None
