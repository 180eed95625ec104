"""Each kind of series is drawn by default, and the numbers drawn are the numbers recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.health import Finding
from recorder.chart import Band, Bars, Box, Chart, Heat, Line, Picture, Plate, Table, View
from recorder.charting.default_chart import default_chart
from recorder.charting.heat_maps import CELLS
from recorder.entries import chart_of, entries, find
from recorder.errors import NotRecordedError
from recorder.runfile.schema import Clock, Event, Kind, Series
from recorder.view import At, Window
from tests.charting.golden import FOLDER, text
from tests.charting.kinds import run_of_kinds
from tests.fakes import FakeRun, clock, fake_run

RUN = run_of_kinds()
NAMES = [entry.name for entry in entries(RUN)]


def marks(view: View, kind: type) -> list:
    charts = view.charts
    return [m for chart in charts for m in chart.marks if isinstance(m, kind)]


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_is_drawn_as_agreed(name: str) -> None:
    """When a difference is wanted: python -m tests.charting.golden, and read the diff."""
    assert text(chart_of(RUN, name)) == (FOLDER / f"{name}.json").read_text()


def test_every_kind_has_an_example_and_no_golden_chart_is_left_over() -> None:
    assert {s.kind for s in RUN.series.values()} == set(Kind)
    assert {path.stem for path in Path(FOLDER).glob("*.json")} == set(NAMES)


def test_scalars_are_entries_by_their_own_names_and_come_first() -> None:
    found = entries(fake_run())
    assert [(e.name, e.series, e.item) for e in found[:2]] == [
        ("loss", "scalars", "loss"),
        ("learning_rate", "scalars", "learning_rate"),
    ]
    assert [e.name for e in found[2:]] == ["gradient_norm", "weight_histogram"]


def test_an_instruments_own_chart_and_derived_entries_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own:
        name = "own"

        @staticmethod
        def chart(run, series, at, window):
            return Chart(f"own chart of {series}")

        derived = {"norm": {"norm_share": lambda run, series, at, window: Chart(f"share of {series}")}}  # noqa: RUF012

    monkeypatch.setattr("recorder.instruments.INSTRUMENTS", (Own,))
    series, steps, values = RUN.data["norm"]
    run = FakeRun("run", {"norm": (replace(series, instrument="own"), steps, values)})
    assert [e.name for e in entries(run)] == ["norm", "norm_share"]
    assert chart_of(run, "norm").title == "own chart of norm"
    assert chart_of(run, "norm_share").title == "share of norm"


def test_a_series_of_an_unknown_instrument_is_drawn_by_its_kind() -> None:
    series, steps, values = RUN.data["norm"]
    run = FakeRun("run", {"norm": (replace(series, instrument="of a later version"), steps, values)})
    assert text(chart_of(run, "norm")) == text(chart_of(RUN, "norm"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("los", "did you mean 'loss'"),
        ("gradnorm", "did you mean 'gradient_norm'"),
        ("zzz", "it holds loss, learning_rate"),
    ],
)
def test_a_wrong_name_is_answered_with_near_ones(name: str, expected: str) -> None:
    with pytest.raises(NotRecordedError, match=expected):
        find(fake_run(), name)


def test_a_wrong_item_is_answered_with_near_ones() -> None:
    with pytest.raises(NotRecordedError, match=r"did you mean 'layer0.weight'"):
        chart_of(fake_run(), "gradient_norm", At(item="layer0.wieght"))


def test_an_empty_run_says_so() -> None:
    with pytest.raises(NotRecordedError, match="nothing yet"):
        chart_of(FakeRun("empty"), "loss")


@given(st.integers(0, 60), st.integers(1, 80), st.sampled_from(["step", "epoch", "time"]))
def test_a_curve_keeps_every_extreme_of_what_it_summarises(steps: int, points: int, x) -> None:
    run = fake_run(steps=steps, tensors=2)
    view = chart_of(run, "gradient_norm", At(item="layer0.weight"), Window(points=points, x=x))
    values = run.data["gradient_norm"][2][:, 0]
    lines, bands = marks(view, Line), marks(view, Band)
    assert len(lines) == 1
    assert len(lines[0].x) <= points
    assert len(bands) == (steps > points)
    if bands:
        assert bands[0].hi.max() == values.max()
        assert bands[0].lo.min() == values.min()
    elif steps:
        np.testing.assert_array_equal(lines[0].y, values)


def test_a_spike_of_one_step_is_in_its_cell_of_the_heat_map() -> None:
    run = fake_run(steps=5000, tensors=4)
    heat = marks(chart_of(run, "gradient_norm", window=Window(points=50)), Heat)[0]
    assert heat.values[1].max() == 50.0
    assert heat.column_steps[heat.values[1].argmax()] <= 2500 < heat.column_steps[heat.values[1].argmax() + 1]


def test_of_very_many_items_fewer_columns_are_drawn_and_no_spike_is_lost() -> None:
    names, steps = tuple(f"t{k}" for k in range(20_000)), 120
    values = np.zeros((steps, len(names)), "f4")
    values[77, 12_345] = -9.0
    series = Series("norm", Kind.PER_ITEM, "", "Norm.", names, item_dim="tensor", axis="step")
    run = FakeRun("many", {"norm": (series, clock(range(steps)), values)})
    (heat,) = marks(default_chart(run, "norm", At(), Window(points=1000)), Heat)
    assert heat.values.size <= CELLS
    assert heat.values[12_345].min() == -9.0
    assert np.count_nonzero(heat.values) == 1


def test_what_is_not_finite_is_shaded_and_counted() -> None:
    finding = Finding("not_finite", "layer1.weight gradient", 166, np.nan, 0.0)
    run = replace(fake_run(), events=(Event("health", finding.text, 166, 1, 0.0),))
    view = chart_of(run, "gradient_norm", At(item="layer1.weight"))
    assert [(b.x0, b.x1, b.role) for b in marks(view, Box)] == [(165.5, 166.5, "bad")]
    assert "1 value is not finite" in view.caption


def with_gaps(**more: tuple[Series, Clock, np.ndarray]) -> FakeRun:
    """An instrument whose item a has no value at step 2 (nothing was updated) and a bad one at step 5; b is fine."""
    values = np.ones((10, 2))
    values[[2, 5], 0] = np.nan
    s = Series("s", Kind.PER_ITEM, "1", "S.", ("a", "b"), axis="step", instrument="i")
    return FakeRun("r", {"s": (s, clock(range(10)), values), **more})


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("item", ["a", None])
def test_a_gap_is_not_finite_only_where_that_was_counted_or_found(counted: bool, item: str | None) -> None:
    counts = np.zeros((10, 2), np.uint32)
    counts[5, 0] = 7
    s = Series("s_nonfinite", Kind.PER_ITEM, "count", "", ("a", "b"), dtype="uint32", axis="step", instrument="i")
    run = with_gaps(s_nonfinite=(s, clock(range(10)), counts)) if counted else with_gaps()
    if not counted:
        finding = Finding("not_finite", "a gradient", 5, np.nan, 0.0)
        run = replace(run, events=(Event("health", finding.text, 5, 0, 0.0),))
    view = chart_of(run, "s", At(item=item))
    view = view.charts[0]
    boxes = {(b.x0, b.x1, b.label, b.role) for b in marks(view, Box)}
    assert (4.5, 5.5, "not finite", "bad") in boxes
    assert ((1.5, 2.5, "no value", "gap") in boxes) == (item == "a")  # in a heat map the empty cell says it
    assert ("1 row has no value" if item else "1 entry has no value") in view.caption
    assert "1 value is not finite" in view.caption


def test_without_a_count_or_a_finding_a_gap_is_no_value_and_an_infinity_is_not_finite() -> None:
    view = chart_of(with_gaps(), "s", At(item="a"))
    assert {b.label for b in marks(view, Box)} == {"no value"}
    assert "2 rows have no value" in view.caption
    assert "not finite" not in view.caption
    values = np.ones((10, 1))
    values[4] = np.inf
    run = FakeRun("r", {"s": (Series("s", Kind.PER_ITEM, "1", "S.", ("a",)), clock(range(10)), values)})
    assert {b.label for b in marks(chart_of(run, "s"), Box)} == {"not finite"}


def test_a_loss_that_was_found_not_finite_is_and_a_scalar_that_was_not_given_has_no_value() -> None:
    values = np.ones((10, 2))
    values[7:, 0] = np.nan
    values[1:, 1] = np.nan  # given at step 0 only
    s = Series("scalars", Kind.SCALAR, "", "", ("loss", "accuracy"), dtype="float64", item_dim="scalar", axis="step")
    finding = Finding("not_finite", "loss", 7, np.nan, 0.0)
    events = (Event("health", finding.text, 7, 0, 0.0),)
    run = FakeRun("r", {"scalars": (s, clock(range(10)), values)}, events=events)
    assert "3 values are not finite" in chart_of(run, "loss").caption
    accuracy = chart_of(run, "accuracy")
    assert "9 rows have no value" in accuracy.caption
    assert "are not finite" not in accuracy.caption


def test_neighbouring_bad_steps_are_one_stretch() -> None:
    values = np.ones((10, 1))
    values[[2, 3, 4, 8], 0] = np.nan
    run = FakeRun("r", {"s": (Series("s", Kind.PER_ITEM, "1", "S.", ("a",)), clock(range(10)), values)})
    assert [(b.x0, b.x1) for b in marks(chart_of(run, "s"), Box)] == [(1.5, 4.5), (7.5, 8.5)]


def test_colours_go_by_factors_only_where_all_is_positive_and_far_apart() -> None:
    def heat_of(values: list[float]) -> Heat:
        rows = np.array(values).reshape(-1, 2)
        run = FakeRun("r", {"s": (Series("s", Kind.PER_ITEM, "1", "S.", ("a", "b")), clock(range(len(rows))), rows)})
        return marks(chart_of(run, "s"), Heat)[0]

    assert not heat_of([1, 2, 3, 4]).log
    assert heat_of([1, 2, 3, 1000]).log
    assert heat_of([0, 2, 3, 1000]).log  # a dead tensor takes the lowest colour
    assert heat_of([-1, 2, 3, 1000]).diverging
    assert not heat_of([0, 0, 0, 0]).log


@pytest.mark.parametrize("name", NAMES)
def test_an_item_and_a_step_before_the_first_row_or_a_window_without_rows_are_no_accident(name: str) -> None:
    entry = find(RUN, name)
    view = chart_of(RUN, name, At(step=10**9, item=entry.items[0] if entry.items else None), Window(lo=10**6))
    assert view.caption
    with pytest.raises(NotRecordedError):
        chart_of(RUN, name, At(item="no such item")) if entry.item is None else RUN.row(entry.series, -5)


def test_a_distribution_shows_the_row_of_the_cursor() -> None:
    bars = marks(chart_of(RUN, "histogram", At(step=19)), Bars)[0]
    assert bars.label == "step 10"
    assert bars.heights.sum() == 100


def test_a_picture_outside_0_to_1_is_rescaled_and_says_so() -> None:
    view = chart_of(RUN, "feature")
    pixels = marks(view, Picture)[0].pixels
    assert (pixels.min(), pixels.max()) == (0, 1)
    assert "from 0 (black) to 5 (white)" in view.caption


def test_three_components_make_two_panels() -> None:
    series = Series("p", Kind.POINTS, "", "P.", ("fc",), (4, 3))
    run = FakeRun("r", {"p": (series, clock([0]), np.arange(12.0).reshape(1, 1, 4, 3))})
    view = chart_of(run, "p")
    assert isinstance(view, Plate)
    assert [c.y.label for c in view.charts] == ["component 2", "component 3"]


def test_a_table_has_a_row_for_each_item_and_its_columns() -> None:
    table = marks(chart_of(RUN, "report"), Table)[0]
    assert table.columns == ("item", "precision", "recall")
    assert table.rows == (("cat", "0.5", "1"), ("dog", "0.25", "0.75"))


def test_a_raw_number_is_a_curve_and_an_item_without_shape_too() -> None:
    series = Series("r", Kind.RAW, "", "R.", ("a",), ())
    run = FakeRun("r", {"r": (series, clock(range(3)), np.array([[1.0], [2.0], [3.0]]))})
    np.testing.assert_array_equal(marks(default_chart(run, "r", At(), Window()), Line)[0].y, [1, 2, 3])


def test_epochs_are_fractions_and_seconds_start_at_the_run() -> None:
    run = fake_run(steps=400)
    cells = {
        x: marks(chart_of(run, "weight_histogram", window=Window(x=x)), Heat)[0].x for x in ("step", "epoch", "time")
    }
    np.testing.assert_allclose(cells["epoch"], cells["step"] / 100)
    np.testing.assert_allclose(cells["time"], cells["step"])


def test_what_was_not_there_at_the_end_is_shown_as_it_last_was() -> None:
    series, steps, values = RUN.data["line"]
    ended = values.copy()
    ended[-1] = np.nan
    run = FakeRun("r", {"line": (series, steps, ended)})
    assert chart_of(run, "line").title.endswith("step 20")
    assert chart_of(run, "line", At(step=30)).title.endswith("step 30")

    series, steps, counts = RUN.data["histogram"]
    ended = counts.copy()
    ended[-1] = 0
    view = chart_of(FakeRun("r", {"histogram": (series, steps, ended)}), "histogram")
    assert marks(view, Bars)[0].label == "step 20"
    assert np.isnan(marks(view, Heat)[0].values[:, -1]).all()


def test_what_was_measured_on_the_probe_batch_says_on_how_many_samples() -> None:
    series, steps, values = RUN.data["norm"]
    probed = replace(series, axis="each_epoch_probe")
    run = FakeRun("r", {"norm": (probed, steps, values), "other": (series, steps, values)}, {"probe_samples": 256})
    assert "Probe batch of 256 samples." in chart_of(run, "norm").caption
    assert "Probe batch" not in chart_of(run, "other").caption


def test_an_infinity_is_drawn_as_one_and_a_nan_as_a_gap() -> None:
    values = np.array([[1.0], [np.inf], [np.nan], [-np.inf], [2.0]])
    run = FakeRun("r", {"s": (Series("s", Kind.PER_ITEM, "1", "S.", ("a",)), clock(range(5)), values)})
    np.testing.assert_array_equal(marks(chart_of(run, "s"), Line)[0].y, values[:, 0])
    window = Window(lo=1, hi=3)
    np.testing.assert_array_equal(marks(chart_of(run, "s", window=window), Line)[0].y, values[1:4, 0])
