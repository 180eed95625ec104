"""Laws of looking at a view differently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.chart import Band, Bars, Chart, Heat, Line, Plate, Points, Scale
from recorder.charting.transform import limited, log_y, normalised, smoothed, without_outliers
from recorder.entries import chart_of
from tests.charting.golden import text
from tests.fakes import fake_run

NUMBERS = st.floats(-1e6, 1e6, width=32)
CURVES = arrays(float, st.integers(1, 50), elements=NUMBERS | st.just(float("nan")))
MAPS = arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=NUMBERS | st.just(float("nan")))


def line(y, **more) -> Chart:
    y = np.asarray(y, float)
    return Chart("c", Scale("step"), Scale("y"), (Line(np.arange(len(y)), y, "y", 0, **more),), "A curve.")


def heat(values, **more) -> Chart:
    return Chart("h", marks=(Heat(np.asarray(values, float), label="v", **more),), caption="A map.")


@given(st.floats(-1e3, 1e3), st.floats(0.01, 0.99), st.integers(1, 100))
def test_smoothing_a_constant_changes_nothing(value: float, factor: float, n: int) -> None:
    raw, smooth = smoothed(line([value] * n), factor).marks
    assert raw.faint
    np.testing.assert_allclose(smooth.y, value, rtol=1e-9)


@given(CURVES, st.floats(0.01, 0.99))
def test_a_smoothed_line_stays_within_its_raw_one_and_keeps_its_gaps(y: np.ndarray, factor: float) -> None:
    raw, smooth = smoothed(line(y), factor).marks
    np.testing.assert_array_equal(raw.y, y)
    np.testing.assert_array_equal(np.isnan(smooth.y), np.isnan(y))
    if np.isfinite(y).any():
        slack = 1e-9 * np.nanmax(np.abs(y)) + 1e-12
        assert np.nanmin(y) - slack <= np.nanmin(smooth.y)
        assert np.nanmax(smooth.y) <= np.nanmax(y) + slack


def test_smoothing_is_the_bias_corrected_average() -> None:
    smooth = smoothed(line([1.0, 0.0, 4.0]), 0.5).marks[1].y
    np.testing.assert_allclose(smooth, [1.0, (0.5 * 1 + 0) / 1.5, (0.25 * 1 + 0.5 * 0 + 4) / 1.75])


def test_no_smoothing_is_the_same_view_and_nonsense_is_refused() -> None:
    chart = line([1, 2])
    assert smoothed(chart, 0) is chart
    with pytest.raises(ValueError, match=r"0\.\.0\.99, got 1"):
        smoothed(chart, 1.0)


@given(MAPS, st.sampled_from(["global", "row", "column"]))
def test_normalised_values_lie_in_minus_1_to_1_and_reach_it(values: np.ndarray, by) -> None:
    scaled = normalised(heat(values), by).marks[0].values
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(values))
    assert not (np.abs(scaled) > 1).any()
    size = np.where(np.isnan(values), 0, np.abs(values))
    axis = {"global": None, "row": 1, "column": 0}[by]
    reached = np.where(np.isnan(scaled), 0, np.abs(scaled)).max(axis=axis)
    np.testing.assert_array_equal(reached, (size.max(axis=axis) > 0).astype(float))


def test_normalising_leaves_categories_and_curves_alone() -> None:
    chart = heat([[0, 1]], categories=("a", "b"))
    np.testing.assert_array_equal(normalised(chart, "row").marks[0].values, [[0, 1]])
    assert text(normalised(line([1, 2]), "row")) == text(line([1, 2]))


def test_log_and_back_is_the_same_view() -> None:
    for name in ("loss", "gradient_norm", "weight_histogram"):
        view = log_y(chart_of(fake_run(), name), on=False)
        assert text(log_y(log_y(view), on=False)) == text(view)


def test_a_scale_and_limits_that_were_asked_for_are_in_the_caption() -> None:
    assert log_y(line([1, 2])).caption == "A curve. Values are spaced by factors."
    assert log_y(log_y(line([1, 2]))).caption.count("factors") == 1
    assert log_y(log_y(line([1, 2])), on=False).caption == "A curve."
    assert log_y(heat([[-1, 0]])).caption == "A map."  # nothing was changed
    assert limited(line([1, 5]), 0, None).caption == "A curve. Shown from 0 to 5."
    view = chart_of(fake_run(), "gradient_norm")
    assert log_y(log_y(view), on=False).caption == view.caption


def test_log_turns_the_values_not_the_names() -> None:
    assert log_y(line([1, 2])).y.log
    logged = log_y(heat([[1, 0, 100]]))
    assert logged.marks[0].log
    assert logged.marks[0].limits == (1, 100)
    assert not logged.y.log
    assert not log_y(heat([[-1, 0]])).marks[0].log  # nothing positive: no logarithm


def test_outliers_are_left_out_and_counted() -> None:
    y = np.concatenate([np.linspace(0, 1, 100), [1e6, -1e6]])
    view = without_outliers(line(y))
    lo, hi = view.y.limits
    assert -1 < lo <= 0
    assert 1 <= hi < 2
    assert "2 values lie outside" in view.caption


def test_without_outliers_nothing_changes() -> None:
    chart = line(np.linspace(0, 1, 100))
    assert without_outliers(chart) is chart
    assert text(without_outliers(line([1.0]))) == text(line([1.0]))


@given(arrays(float, 60, elements=st.floats(1e-6, 1e6)))
def test_limits_of_a_logarithmic_view_stay_positive(y: np.ndarray) -> None:
    view = without_outliers(log_y(line(y)))
    assert view.y.limits is None or 0 < view.y.limits[0] < view.y.limits[1]


def test_limits_go_to_the_axis_of_a_curve_and_the_colours_of_a_map() -> None:
    assert limited(line([1, 5]), 0, None).y.limits == (0, 5)
    assert limited(heat([[1, 5]]), None, 2).marks[0].limits == (1, 2)
    assert limited(line([1, 5]), 7, None).y.limits is None  # nothing would be left to see


def test_a_plate_is_transformed_panel_by_panel_and_notes_once() -> None:
    view = smoothed(chart_of(fake_run(), "gradient_norm"), 0.9)
    assert isinstance(view, Plate)
    assert view.caption.count("Smoothed by 0.9") == 1
    assert [m.faint for m in view.charts[1].marks if isinstance(m, Line)] == [True, False]


def test_every_value_bearing_mark_counts_for_limits() -> None:
    marks = (
        Band(np.zeros(1), np.array([-3.0]), np.array([4.0])),
        Points(np.zeros(1), np.array([9.0])),
        Bars(np.arange(2.0), np.array([-7.0])),
    )
    assert limited(Chart("t", marks=marks), None, 10).y.limits == (-7, 10)
