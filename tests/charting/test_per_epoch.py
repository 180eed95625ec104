"""Means per epoch: what they are of numbers whose mean is known, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.chart import Band, Chart, Line
from recorder.charting.per_epoch import Curve, PerEpoch, means_of
from recorder.errors import NotRecordedError
from recorder.runfile.schema import Clock, Kind, Series
from recorder.view import At, Window
from tests.fakes import FakeRun

DRAW = PerEpoch("share per epoch", "1", (Curve("total", "share_total", "share", "of all"),))


def run_of(epochs, values):
    """A total with these values, and a tensor `w` with their doubles."""
    values = np.asarray(values, float)
    clock = Clock(np.arange(len(values)) * 3, np.asarray(epochs), np.arange(float(len(values))))
    total = Series("total", Kind.SCALAR, "1", "Totals.", ("share_total",), item_dim="scalar")
    share = Series("share", Kind.PER_ITEM, "1", "Share of it.", ("w",), item_dim="tensor")
    return FakeRun(data={"total": (total, clock, values[:, None]), "share": (share, clock, 2 * values[:, None])})


@given(st.lists(st.lists(st.floats(-1e3, 1e3) | st.just(np.nan), min_size=1, max_size=6), min_size=1, max_size=6))
def test_each_epoch_has_the_mean_of_its_defined_steps(epochs):
    rows = [(e, v) for e, values in enumerate(epochs) for v in values]
    found = means_of(run_of(*zip(*rows, strict=True)), "total", "share_total")
    assert found.epoch.tolist() == [e + 1 for e in range(len(epochs))]
    assert found.rows == len(rows)
    assert found.undefined == sum(np.isnan(v) for _, v in rows)
    for k, values in enumerate(epochs):
        defined = [v for v in values if not np.isnan(v)]
        wanted = (np.mean(defined), min(defined), max(defined)) if defined else (np.nan,) * 3
        np.testing.assert_allclose((found.mean[k], found.low[k], found.high[k]), wanted, rtol=1e-12, atol=1e-9)


def test_the_caption_says_that_it_is_the_mean_over_the_recorded_steps():
    chart = DRAW(run_of([0, 0, 2, 2], [1, 3, np.nan, 5]), "share", At(), Window())
    assert isinstance(chart, Chart)
    (band,), (line,) = ([m for m in chart.marks if isinstance(m, kind)] for kind in (Band, Line))
    assert (line.x.tolist(), line.y.tolist()) == ([1, 3], [2, 5])
    assert (band.lo.tolist(), band.hi.tolist()) == ([1, 5], [3, 5])
    assert chart.caption == (
        "Share of it. Not defined at 1 step. all tensors, mean over the recorded steps of each epoch "
        "(2 epochs, 4 steps), in a band from the smallest to the largest of them."
    )


def test_one_tensor_and_one_stretch():
    run = run_of([0, 0, 1, 1], [1, 3, 5, 7])
    chart = DRAW(run, "share", At(item="w"), Window(lo=6))
    (line,) = [m for m in chart.marks if isinstance(m, Line)]
    assert (line.x.tolist(), line.y.tolist()) == ([2], [12])
    assert chart.title == "share per epoch: w"


def test_values_far_apart_are_shown_by_factors_but_not_zeros():
    assert DRAW(run_of([0, 1], [1, 1000]), "share", At(), Window()).y.log
    assert not DRAW(run_of([0, 1], [0, 1000]), "share", At(), Window()).y.log
    assert not DRAW(run_of([0, 1], [1, 10]), "share", At(), Window()).y.log


def test_no_row_in_the_window_is_an_empty_chart():
    chart = DRAW(run_of([0], [1]), "share", At(), Window(lo=100))
    assert "0 epochs, 0 steps" in chart.caption


def test_what_was_not_recorded_is_said_with_its_name():
    with pytest.raises(NotRecordedError, match="share per epoch: total was not recorded of nothing in run 'fake'"):
        DRAW(run_of([0], [1]), "share", At(item="nothing"), Window())
