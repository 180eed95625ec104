"""Quantiles are lines with names, and a step without them is a gap that is counted."""

from __future__ import annotations

import numpy as np

from recorder.chart import Band, Chart, Line
from recorder.charting.default_chart import default_chart
from recorder.runfile.schema import Kind, Series
from recorder.view import At, Window
from tests.fakes import FakeRun, clock


def chart_of(rows) -> Chart:
    values = np.asarray(rows, "f4")[:, None]
    series = Series("secant_curvature", Kind.VECTOR, "1", "Curvature.", ("w",), (5,), ("quantile",), item_dim="tensor")
    run = FakeRun(data={"secant_curvature": (series, clock(range(len(values))), values)})
    chart = default_chart(run, "secant_curvature", At(), Window())
    assert isinstance(chart, Chart)
    return chart


def test_each_quantile_is_a_line_with_its_name():
    chart = chart_of([[-2, -1, 0, 1, 2], [-4, -2, 0, 2, 4]])
    lines = {m.label: m.y.tolist() for m in chart.marks if isinstance(m, Line)}
    assert lines == {"95 %": [2, 4], "75 %": [1, 2], "50 %": [0, 0], "25 %": [-1, -2], "5 %": [-2, -4]}
    (band,) = [m for m in chart.marks if isinstance(m, Band)]
    assert (band.lo.tolist(), band.hi.tolist()) == ([-2, -4], [2, 4])
    assert chart.caption == "Curvature. w, 2 rows of steps 0 to 1."
    assert not chart.y.log


def test_a_step_without_a_value_is_said_and_factors_are_used_where_they_are_needed():
    chart = chart_of([[np.nan] * 5, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]])
    assert chart.caption.endswith("Not defined at 1 of these steps.")
    assert chart.y.log


def test_no_rows_are_no_marks():
    assert chart_of(np.zeros((0, 5))).marks == ()
