"""A summarised chart begins at the first recorded row and ends at the last, whatever the buckets are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.chart import Chart, Heat, Plate
from recorder.charting.stretches import stretches
from recorder.entries import chart_of
from recorder.view import At, Window
from tests.fakes import fake_run

TIMES = st.sampled_from(["step", "epoch", "time"])


@given(st.integers(1, 300), st.integers(1, 90), TIMES, st.integers(0, 40), st.integers(0, 40))
def test_the_axis_reaches_from_the_first_to_the_last_row(n: int, points: int, x, before: int, after: int) -> None:
    run = fake_run(steps=n, tensors=4)
    lo, hi = min(before, n - 1), max(n - 1 - after, min(before, n - 1))
    window = Window(lo, hi, points, x)
    whole = run.window("gradient_norm", Window(points=n, x=x), "layer0.weight")
    for name, at in (("loss", At()), ("gradient_norm", At(item="layer0.weight"))):
        view = chart_of(run, name, at, window)
        assert isinstance(view, Chart)
        assert view.x.limits == (whole.x[lo], whole.x[hi])


@given(st.integers(2, 300), st.integers(1, 90), TIMES)
def test_each_row_lies_in_the_bucket_that_stands_for_it(n: int, points: int, x) -> None:
    run = fake_run(steps=n, tensors=4)
    window = Window(points=points, x=x)
    e = run.window("gradient_norm", window)
    where = stretches(run, "gradient_norm", None, window, e)
    counted = where.last - where.first + 1
    assert counted.sum() == n
    assert (where.first[1:] == where.last[:-1] + 1).all()
    if x != "epoch":  # the fake's epochs are whole numbers, many rows at one place
        place = np.arange(n)
        bucket = np.searchsorted(where.edges, place, side="right") - 1
        np.testing.assert_array_equal(np.bincount(bucket, minlength=len(counted)), counted)
        assert (where.edges[0], where.edges[-1]) == (-0.5, n - 0.5)


def test_a_heat_map_says_which_steps_a_column_stands_for() -> None:
    view = chart_of(fake_run(steps=625), "gradient_norm", window=Window(points=200))
    assert isinstance(view, Plate)
    (heat,) = (m for m in view.charts[0].marks if isinstance(m, Heat))
    assert heat.column_steps is not None
    assert heat.column_ends is not None
    assert (heat.column_steps[0], heat.column_ends[-1]) == (0, 624)
    assert "625 rows of steps 0 to 624" in view.caption


@pytest.mark.parametrize("x", ["step", "epoch", "time"])
def test_where_every_row_is_shown_nothing_is_a_stretch(x) -> None:
    run = fake_run(steps=20)
    window = Window(points=20, x=x)
    where = stretches(run, "gradient_norm", None, window, run.window("gradient_norm", window))
    assert not where.summarised
    np.testing.assert_array_equal(where.first, where.last)


def test_nothing_recorded_has_no_limits() -> None:
    view = chart_of(fake_run(steps=20), "loss", window=Window(lo=100))
    assert isinstance(view, Chart)
    assert view.x.limits is None
