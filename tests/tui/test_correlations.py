"""The screen Correlations: from all layers to a pair, unit by unit, through the steps, samples with their pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recorder.chart import Heat, Picture, Plate
from tests.feature_signals import fake_features, write_features
from tests.tui.driving import NARROW, WIDE, Driven, drive
from tests.tui.sources import FakeOpened, one, opened
from tui.screens.correlations import Correlations
from tui.source import Disk
from tui.state import Place

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


def run() -> FakeOpened:
    fake = fake_features()
    return FakeOpened("features", fake.data, fake.meta, (), path=Path("runs/features.h5"))


RUN = run()


def page_of(driven: Driven) -> Correlations:
    page = driven.app.page
    assert isinstance(page, Correlations)
    return page


def said(driven: Driven) -> dict[str, str]:
    return dict(page_of(driven).values_shown())


def show(test, *, size=WIDE, entry: str = "", **place) -> None:
    chosen = {"correlations": entry} if entry else {}
    start = Place(screen="correlations", run=str(RUN.path), chosen=chosen, **place)

    async def on_the_chart(driven: Driven) -> None:
        if not page_of(driven).chart.has_focus:
            await driven.press("tab")
        await test(driven)

    drive(one(RUN), on_the_chart, size=size, place=start)


@SIZES
def test_it_begins_with_all_layers_and_enter_opens_the_pair_under_the_cursor(size) -> None:
    async def test(driven: Driven) -> None:
        page = page_of(driven)
        assert page.entry is not None
        assert page.entry.name == "correlation_mean_abs"
        assert "Enter units" in driven.lines[-1]
        await driven.press("right", "right", "down")
        assert page.item == "fc2 | fc3"
        value = RUN.row("correlation_mean_abs", None, "fc2 | fc3")[1]
        assert float(said(driven)["correlation mean abs"]) == pytest.approx(float(value), abs=1e-5)
        await driven.press("enter")
        assert page.by_unit
        assert "unit of fc3" in driven.text
        matrix = RUN.row("unit_correlation", None, "fc2 | fc3")[1]
        strongest = np.unravel_index(np.abs(matrix).argmax(), matrix.shape)
        assert page.cell == strongest
        assert float(said(driven)["r"]) == pytest.approx(float(matrix[strongest]), abs=1e-5)
        assert said(driven)["unit of fc2"] == str(2 * strongest[0])
        await driven.press("escape")
        assert page.entry.name == "correlation_mean_abs"
        assert page.item == "fc2 | fc3"

    show(test, size=size)


def test_the_cursor_moves_on_both_sides_of_the_diagonal() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("down", "down")
        assert (page_of(driven).item, page_of(driven).cell) == ("fc1 | fc3", (2, 0))
        await driven.press("right", "right", "right")
        assert (page_of(driven).item, page_of(driven).cell) == ("fc3 | out", (2, 3))
        await driven.press("down", "down")
        assert page_of(driven).item == "out | out"

    show(test)


def test_steps_are_gone_through_with_the_same_colours() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("right", "enter")
        page, limits = page_of(driven), set()
        for key, step in ((",", 40), (",", 30), ("<", 0), (".", 10), (">", 50)):
            await driven.press({",": "comma", ".": "full_stop", "<": "less_than_sign", ">": "greater_than_sign"}[key])
            assert page.step_shown() == step
            assert page.grid is not None
            limits.add(page.grid.limits)
            np.testing.assert_array_equal(page.grid.values, RUN.row("unit_correlation", step, "fc1 | fc2")[1])
            assert f"step {step}" in driven.text
        assert limits == {(-1.0, 1.0)}

    show(test)


def test_the_list_of_a_pair_holds_its_strongest_units_at_the_step() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("right", "enter", "home", "tab")
        page = page_of(driven)
        matrix = np.abs(np.nan_to_num(RUN.row("unit_correlation", 0, "fc1 | fc2")[1]))
        order = np.argsort(-matrix.ravel(), kind="stable")
        assert page.names()[:3] == tuple(f"{2 * (k // 16)} · {2 * (k % 16)}" for k in order[:3])
        await driven.press("g", "j")
        assert page.cell == divmod(int(order[1]), 16)
        assert float(said(driven)["r"]) == pytest.approx(float(page.grid.values[page.cell]), abs=1e-5)
        assert f"{matrix.ravel()[order[1]]:.3f}" in driven.text

    show(test)


def test_u_puts_units_beside_each_other_that_go_together_and_back() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("right", "enter")
        page = page_of(driven)
        plain = page.above.y.names
        await driven.press("u")
        assert "clustered" in driven.text
        assert page.above.y.names != plain
        assert sorted(page.above.y.names) == sorted(plain)
        await driven.press("u")
        assert page.above.y.names == plain
        await driven.press("escape")
        assert page.entry.name == "correlation_mean_abs"
        await driven.press("u")
        assert await driven.until(lambda: "Enter opens it" in driven.text)

    show(test)


@SIZES
def test_m_shows_all_pairs_in_one_map_of_which_each_block_opens(size) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("M", "right", "right")
        page = page_of(driven)
        assert "unit correlation of all layers" in driven.text
        assert page.item == "fc1 | fc3"
        assert said(driven)["unit"].startswith("fc1")
        await driven.press("enter")
        assert page.entry.name == "unit_correlation"
        assert page.item == "fc1 | fc3"
        await driven.press("escape")
        assert page.entry.name == "unit_correlation_overview"
        await driven.press("M")
        assert page.entry.name == "correlation_mean_abs"

    show(test, size=size)


def test_a_click_on_a_block_means_its_pair() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("M")
        page = page_of(driven)
        field = page.chart.painting.fields[0]
        column, row = field.left + round(0.9 * field.width), field.top + round(0.4 * field.height)
        await driven.pilot.click("#chart", offset=(column, row))
        await driven.settle()
        assert page.item == "fc2 | out"

    show(test)


@SIZES
def test_the_samples_under_the_cursor_are_shown(size) -> None:
    async def test(driven: Driven) -> None:
        page = page_of(driven)
        await driven.press("right")
        before = page.samples()
        await driven.press("down", "right")
        assert page.samples() != before
        assert page._asked is not None
        assert page._asked.samples == page.samples()
        assert isinstance(page._view, Plate)
        images = RUN.data["probe_input"][2][0, 0]
        pictures = [m for chart in page._view.charts[1:] for m in chart.marks if isinstance(m, Picture)]
        for k, picture in zip(page.samples(), pictures, strict=True):
            np.testing.assert_allclose(picture.pixels, images[k, 0])
            assert f"{k}: digit {k % 10}" in driven.text
        await driven.press("Y")
        a, b = page.samples()
        assert f"--samples {a} {b}" in driven.text.replace("\n", " ")

    show(test, size=size, entry="sample_correlation")


def test_the_augmentation_under_the_cursor_is_named() -> None:
    async def test(driven: Driven) -> None:
        page = page_of(driven)
        page._cell = (1, 4)
        page.update()
        await driven.settle()
        assert said(driven)["sample"] == "1: rotate 0.33"
        assert "4: shift 0.33" in driven.text

    show(test, entry="augmentation_sample_correlation")


def test_in_a_map_over_the_steps_left_and_right_are_steps_and_up_and_down_layers() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("home", "right", "down")
        page = page_of(driven)
        assert page.item == "fc2"
        assert page.step_shown() > 0
        heat = page.heat
        assert isinstance(heat, Heat)
        column = heat.column_steps.tolist().index(page.step_shown())
        assert float(said(driven)["CKA"]) == pytest.approx(heat.values[1, column], abs=1e-5)

    show(test, entry="cka_to_first")


def test_steps_by_steps_follows_the_step_and_moves_up_and_down_on_its_own() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("home", "full_stop", "down", "down")
        page = page_of(driven)
        assert page._cursor().column == 1
        row = page._cursor().row
        assert float(said(driven)["CKA"]) == pytest.approx(page.heat.values[row, 1], abs=1e-5)

    show(test, entry="cka_of_steps")


def test_the_units_of_a_layer_are_read_out_one_by_one() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("right", "right")
        recorded = RUN.row("augmentation_variance", None, "fc1")[1]
        assert [text for label, text in page_of(driven).values_shown() if label == "unit of fc1"] == ["2"]
        assert float(said(driven)["within / total"]) == pytest.approx(float(recorded[2]), abs=1e-5)

    show(test, entry="augmentation_variance")


def test_steps_by_steps_says_how_near_to_the_first_step_unless_it_is_asked_for_another() -> None:
    async def test(driven: Driven) -> None:
        heat = page_of(driven).heat
        assert isinstance(heat, Heat)
        assert said(driven)["to that at step"] == "0"
        assert float(said(driven)["CKA"]) == pytest.approx(heat.values[0, -1], abs=1e-5)
        await driven.press("down")
        assert said(driven)["to that at step"] == "10"

    show(test, entry="cka_of_steps")


def test_a_map_of_one_step_says_that_there_is_nothing_to_zoom_and_a_curve_is_zoomed() -> None:
    async def test(driven: Driven) -> None:
        assert "+ zoom" in driven.lines[-1]
        await driven.press("right", "enter")
        assert "+ zoom" not in driven.lines[-1]
        await driven.press("plus")
        assert page_of(driven).place.lo is None
        assert await driven.until(lambda: "nothing to zoom" in driven.text)
        await driven.press("escape", "plus")
        assert page_of(driven).place.lo is not None

    show(test)


@SIZES
def test_without_anything_recorded_it_says_how(size) -> None:
    async def test(driven: Driven) -> None:
        assert "UnitCorrelation()" in driven.text
        assert "layerscope measure RUN --list" in driven.text
        await driven.press("M", "enter", "right", "down")
        assert await driven.until(lambda: "were not recorded" in driven.text)

    bare = opened()
    drive(one(bare), test, size=size, place=Place(screen="correlations", run=str(bare.path)))


def test_a_pair_whose_units_were_not_kept_says_what_to_record() -> None:
    data = {k: v for k, v in RUN.data.items() if not k.startswith("unit_correlation")}
    few = replace(RUN, data=data)

    async def test(driven: Driven) -> None:
        await driven.press("tab", "enter")
        assert await driven.until(lambda: "UnitCorrelation(layers=[...])" in driven.text)

    drive(one(few), test, place=Place(screen="correlations", run=str(RUN.path)))


def test_which_units_were_kept_is_said_where_a_pair_has_none() -> None:
    series, clock, values = RUN.data["unit_correlation"]
    few = replace(RUN, data=RUN.data | {"unit_correlation": (replace(series, items=("fc1 | fc1",)), clock, values)})

    async def test(driven: Driven) -> None:
        await driven.press("tab", "right", "enter")
        assert await driven.until(lambda: "Those of fc1 were: M shows them" in driven.text)

    drive(one(few), test, place=Place(screen="correlations", run=str(RUN.path)))


def test_it_reads_a_run_on_disk_as_well(tmp_path) -> None:
    path = write_features(tmp_path / "features.h5")

    async def test(driven: Driven) -> None:
        await driven.press("tab", "right", "enter", "comma")
        page = page_of(driven)
        np.testing.assert_array_equal(page.grid.values, RUN.row("unit_correlation", 40, "fc1 | fc2")[1])

    drive(Disk(path), test, place=Place(screen="correlations", run=str(path)))


@pytest.mark.parametrize("screen", ["overview", "layers"])
def test_other_screens_show_them_without_a_cursor_that_means_nothing(screen) -> None:
    async def test(driven: Driven) -> None:
        page = driven.app.page
        assert "pair" not in {e.item_dim for e in page.entries()} or screen == "overview"
        for entry in page.entries():
            page.show_entry(entry.name)
            await driven.settle()
            assert page._trouble == "", entry.name

    drive(one(RUN), test, place=Place(screen=screen, run=str(RUN.path)))


@pytest.mark.parametrize("entry", ["augmented_samples", "augmentation_distance", "cka", "sample_correlation"])
def test_where_x_is_no_time_the_step_is_no_place(entry) -> None:
    async def test(driven: Driven) -> None:
        page = driven.app.page
        page.show_entry(entry)
        await driven.settle()
        assert page._cursor().x is None

    drive(one(RUN), test, place=Place(screen="overview", run=str(RUN.path)))
