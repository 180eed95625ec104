"""What is read out at the cursor is what is in the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recorder.chart import Band, Bars, Box, Chart, Heat, Line, Picture, Plate, Points, Rule, Scale
from tui.terminal import Cursor, read_out

rng = np.random.default_rng(5)
T = np.arange(0.0, 1000.0, 10.0)
Y = rng.standard_normal(100)


@given(k=st.integers(0, 99))
def test_lines_and_bands_read_their_values(k):
    chart = Chart("loss", Scale("step"), Scale("loss", "nats"), (Line(T, Y, "train"), Band(T, Y - 1, Y + 1)))
    readings = dict(read_out(chart, Cursor(x=T[k])))
    assert readings["step"] == f"{int(T[k])}"
    assert readings["train"] == f"{Y[k]:.6g} nats"
    assert readings["min … max"] == f"{Y[k] - 1:.6g} … {Y[k] + 1:.6g} nats"


def test_a_value_recorded_elsewhere_says_where():
    chart = Chart("", Scale("step"), marks=(Line(T, Y, "often"), Line(np.array([0.0, 10.0]), np.ones(2), "early")))
    readings = dict(read_out(chart, Cursor(x=503.0)))
    assert "at" not in readings["often"]
    assert readings["early"] == "1  at 10"


@given(row=st.integers(0, 4), column=st.integers(0, 19))
def test_heat_cells_read_row_column_and_value(row, column):
    values = rng.standard_normal((5, 20))
    heat = Heat(values, label="norm", column_steps=np.arange(20) * 50)
    chart = Chart("", Scale("step"), Scale("tensor", names=tuple("abcde")), (heat,))
    expected = [("step", f"{column * 50}"), ("tensor", "abcde"[row]), ("norm", f"{values[row, column]:.6g}")]
    assert read_out(chart, Cursor(row=row, column=column)) == expected
    assert read_out(chart, Cursor(x=column + 0.5, y=row + 0.5)) == expected


def test_a_cell_of_several_steps_reads_the_first_and_the_last_also_over_epochs():
    heat = Heat(np.ones((1, 2)), column_steps=np.array([0, 8]), column_ends=np.array([7, 8]))
    for label in ("step", "epoch", "time"):
        chart = Chart("", Scale(label), marks=(heat,))
        assert read_out(chart, Cursor(column=0))[0] == ("step", "0 … 7")
        assert read_out(chart, Cursor(column=1))[0] == ("step", "8")


def test_categories_and_nan_read_by_name():
    chart = Chart("", marks=(Heat(np.array([[0.0, 1.0]]), categories=("red", "green")),))
    assert read_out(chart, Cursor(row=0, column=1))[-1] == ("value", "green")
    chart = Chart("", marks=(Heat(np.array([[np.nan, np.inf]])),))
    assert read_out(chart, Cursor(row=0, column=0))[-1] == ("value", "NaN")
    assert read_out(chart, Cursor(row=0, column=1))[-1] == ("value", "∞")


def test_bars_read_their_bin():
    chart = Chart("hist", Scale("w"), Scale("count"), (Bars(np.array([0.0, 1.0, 2.0]), np.array([3, 4])),))
    assert read_out(chart, Cursor(x=1.5)) == [("w", "1.5"), ("bin", "1 … 2"), ("count", "4")]
    assert read_out(chart, Cursor(x=2.0))[-1] == ("count", "4")
    assert read_out(chart, Cursor(x=2.1)) == []


def test_points_read_the_nearest_one_by_name():
    points = Points(
        np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0]), names=("a", "b", "c"), group=np.array([0, 1, 1])
    )
    chart = Chart("", Scale("PC 1"), Scale("PC 2"), (points,))
    assert read_out(chart, Cursor(x=0.9, y=0.9))[0] == ("nearest", "c")
    assert read_out(chart, Cursor(x=0.1, y=0.2))[0] == ("nearest", "a")


def test_pictures_and_labelled_stretches_read_out():
    assert read_out(Chart("", marks=(Picture(np.eye(3)),)), Cursor(row=1, column=1)) == [
        ("pixel", "1, 1"),
        ("value", "1"),
    ]
    chart = Chart("", Scale("step"), marks=(Line(T, Y), Box(100, 200, label="warm-up")))
    assert ("here", "warm-up") in read_out(chart, Cursor(x=150.0))
    assert ("here", "warm-up") not in read_out(chart, Cursor(x=250.0))
    twice = replace(chart, marks=(*chart.marks, Rule(150.0, "x", "warm-up")))
    assert read_out(twice, Cursor(x=150.0)) == read_out(chart, Cursor(x=150.0))


def test_a_plate_reads_all_charts_over_the_same_axis_once():
    loss = Chart("loss", Scale("step"), marks=(Line(T, Y, "loss"),))
    norm = Chart("norm", Scale("step"), marks=(Line(T, Y, "norm"),))
    other = Chart("hist", Scale("w"), marks=(Line(T, Y, "w"),))
    readings = read_out(Plate(((loss, norm), (other,))), Cursor(x=T[3]))
    assert [label for label, _ in readings] == ["step", "loss", "norm"]
    assert [label for label, _ in read_out(Plate(((loss, norm), (other,))), Cursor(x=T[3], chart=2))] == ["w", "w"]


def test_nothing_reads_as_nothing():
    assert read_out(Chart("loss"), Cursor(x=3.0)) == []
    assert read_out(Chart("loss", marks=(Line(np.array([]), np.array([])),)), Cursor(x=3.0)) == []
    assert read_out(Chart("loss", marks=(Heat(np.zeros((0, 0))),)), Cursor(x=3.0, y=1.0)) == []
    assert read_out(Chart("loss", marks=(Points(np.array([np.nan]), np.array([1.0])),)), Cursor(x=3.0, y=1.0)) == []
