"""The numbers beside a figure are the numbers of the run."""

from __future__ import annotations

import csv
import io

import numpy as np

from recorder.chart import Chart, Edges, Points, Scale
from recorder.charting.columns import columns
from recorder.charting.transform import smoothed
from recorder.entries import chart_of, entries
from recorder.view import At, Window
from tests.charting.kinds import EDGES, run_of_kinds
from tests.fakes import fake_run

RUN = run_of_kinds()


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_a_curve_is_its_steps_and_values() -> None:
    run = fake_run(steps=50)
    (table,) = columns(chart_of(run, "loss"))
    assert table.header == ("step", "loss")
    header, *rows = read(table.csv())
    assert header == ["step", "loss"]
    np.testing.assert_array_equal(
        np.array(rows, float), np.stack([np.arange(50), run.data["scalars"][2][:, 0]], axis=1)
    )


def test_a_summarised_curve_has_its_extremes_beside_the_mean() -> None:
    (table,) = columns(chart_of(fake_run(), "gradient_norm", At(item="layer0.bias"), Window(points=10)))
    assert table.header == ("step", "gradient norm min", "gradient norm max", "layer0.bias")
    assert len(table.rows) == 10


def test_a_smoothed_curve_has_its_raw_values_beside_it() -> None:
    run = fake_run(steps=20)
    (table,) = columns(smoothed(chart_of(run, "loss"), 0.5))
    assert table.header == ("step", "loss raw", "loss")
    np.testing.assert_array_equal([row[1] for row in table.rows], run.data["scalars"][2][:, 0])


def test_a_heat_map_has_a_row_for_each_item_and_a_column_for_each_step() -> None:
    above, below = columns(chart_of(RUN, "norm"))
    assert above.header == ("tensor", "step 0", "step 10", "step 20", "step 30")
    assert above.rows[0] == ("w", 4.0, 2.0, 1.0, 0.5)
    assert below.rows == ((0, 4.0), (10, 2.0), (20, 1.0), (30, 0.5))


def test_bins_come_back_as_the_edges_that_were_declared() -> None:
    above, below = columns(chart_of(RUN, "histogram"))
    assert below.header == ("from", "to", "step 30")
    for low, high, _ in below.rows:
        assert low in EDGES
        assert high in EDGES
    assert above.rows[0] == ("-0.1..-0.01", 60.0, 50.0, 40.0, 30.0)


def test_categories_and_groups_are_written_by_name() -> None:
    (signs,) = columns(chart_of(RUN, "signs"))
    assert signs.rows[0] == ("0", "|g| > tau", "-tau <= g < 0", "0 < g <= tau", "g = 0")
    dots = Points(np.zeros(2), np.ones(2), group=np.array([1, 0]), group_names=("cat", "dog"), names=("a", "b"))
    (table,) = columns(Chart("t", Scale("x"), Scale("y"), (dots,)))
    assert table.rows == ((0.0, 1.0, "dog", "a"), (0.0, 1.0, "cat", "b"))


def test_every_view_has_a_table_that_reads_back() -> None:
    for entry in entries(RUN):
        for table in columns(chart_of(RUN, entry.name)):
            assert all(len(row) == len(table.header) for row in table.rows)
            assert read(table.csv())[0] == list(table.header)


def test_names_with_commas_quotes_and_lines_survive() -> None:
    nasty = 'a,"b"\nc'
    edges = Edges(*(np.zeros(1) for _ in range(5)))
    dots = Points(np.zeros(1), np.zeros(1), names=(nasty,))
    first, second = columns(Chart("t", Scale(nasty), Scale("y"), (dots, edges)))
    assert read(first.csv()) == [[nasty, "y", "name"], ["0.0", "0.0", nasty]]
    assert second.header == ("x0", "y0", "x1", "y1", "weight")


def test_steps_are_whole_numbers_and_a_column_of_several_steps_names_the_first_and_the_last() -> None:
    above, below = columns(chart_of(fake_run(steps=10), "gradient_norm", window=Window(points=4)))
    assert above.header == ("tensor", "steps 0..2", "steps 3..5", "steps 6..7", "steps 8..9")
    assert [row[0] for row in read(below.csv())[1:]] == ["0", "3", "6", "8"]
    epochs = columns(chart_of(fake_run(steps=10), "loss", window=Window(x="time")))[0]
    assert [row[0] for row in epochs.rows][:2] == [0.0, 1.0]
    assert isinstance(epochs.rows[0][0], float)
