"""The screen Gradients: statistics tensor by tensor, the sign map down to single parameters, who went bad first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recorder import every, record
from recorder.analysis.health import Finding
from recorder.chart import Heat
from recorder.instruments import GradientNorm, SignMap
from recorder.runfile.schema import Event
from tests.charting.test_sign_levels import TAU, Training
from tests.tui.driving import NARROW, WIDE, Driven, drive
from tests.tui.sources import one, opened
from tui.screens.gradients import Gradients
from tui.source import Disk
from tui.state import Place

NAMES = ("|g| > tau", "-tau <= g < 0", "0 < g <= tau", "g = 0")


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A run with a sign map of five rows, and its codes."""
    path, training = tmp_path_factory.mktemp("runs") / "signs.h5", Training()
    with record(
        training, path, instruments=[every(1, GradientNorm()), every(1, SignMap(tau=TAU))], progress=False, strict=True
    ) as run:
        for _ in range(5):
            training.iteration()
            run.step(loss=1.0)
    return path, training.codes()


def page_of(driven: Driven) -> Gradients:
    page = driven.app.page
    assert isinstance(page, Gradients)
    return page


def said(driven: Driven) -> dict[str, str]:
    return dict(page_of(driven).values_shown())


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_the_sign_map_is_read_out_from_the_network_to_a_parameter(signs, size) -> None:
    path, expected = signs
    total = expected.shape[1]

    async def test(driven: Driven) -> None:
        await driven.press("M")
        page = page_of(driven)
        assert page.span == (0, total)
        assert "gradient signs" in driven.text
        await driven.press(*["plus"] * 5, "right", "right", "up")
        lo, hi = page.span
        assert hi - lo == 16
        at, row = page.parameter, 3
        assert at == 2
        assert said(driven) == {
            "": "conv.weight[0, 0, 2]", "gradient": NAMES[int(expected[row, at])], "parameter": "2",
        }  # fmt: skip
        assert "conv.weight[0, 0, 2]" in driven.lines[-2]
        assert page.map is not None
        np.testing.assert_array_equal(page.map.values, expected[:, lo:hi])
        await driven.press("0")
        assert page.span == (0, total)
        assert page.parameter == at

    drive(Disk(path), test, size=size, place=Place(screen="gradients", run=str(path)))


def test_a_cell_of_several_parameters_has_their_shares(signs) -> None:
    path, expected = signs

    async def test(driven: Driven) -> None:
        await driven.press("M")
        page = page_of(driven)
        found = said(driven)
        first, last = (int(word.replace(",", "")) for word in found["parameters"].split(" … "))
        counts = np.bincount(expected[-1, first : last + 1].astype(int), minlength=4)
        assert found["mostly"] == NAMES[int(counts.argmax())]
        for name, count in zip(NAMES[1:], counts[1:], strict=True):
            assert found[name] == f"{count / counts.sum():.1%}"
        assert page.map is not None

    drive(Disk(path), test, place=Place(screen="gradients", run=str(path)))


def test_the_cursor_pans_and_a_tensor_of_the_list_is_gone_to(signs) -> None:
    path, _ = signs

    async def test(driven: Driven) -> None:
        await driven.press("M", *["plus"] * 5, *["right"] * 20)
        page = page_of(driven)
        lo, hi = page.span
        assert (page.parameter, hi - lo) == (20, 16)
        assert lo <= 20 < hi
        page.choose("fc.weight")
        await driven.settle()
        assert page.span == page.parameters.span("fc.weight")
        assert page.current() == "fc.weight"
        await driven.press("Y")
        assert f"--parameters {page.span[0]} {page.span[1]}" in driven.app.clipboard
        await driven.press("M")
        assert not page.signs

    drive(Disk(path), test, place=Place(screen="gradients", run=str(path)))


def test_a_parameter_that_was_never_updated_says_so(signs) -> None:
    path, _ = signs

    async def test(driven: Driven) -> None:
        await driven.press("M")
        page = page_of(driven)
        page.choose("frozen")
        await driven.settle()
        assert said(driven)["gradient"] == "not updated"

    drive(Disk(path), test, place=Place(screen="gradients", run=str(path)))


FOUND = (
    Finding("vanishing", "layer0.weight", 20, 1e-9, 1e-7),
    Finding("exploding", "layer3.bias", 250, 50.0, 1000.0),
    Finding("not_finite", "layer1.weight gradient", 166, 1.0, 0.0),
)


def bad_run():
    run = opened(events=[Event("health", f.text, f.step, 0, 0.0) for f in FOUND])
    series = run.data["gradient_norm"][0]
    return replace(run, meta={**run.meta, "tensors": [{"name": n, "shape": [3], "layer": n} for n in series.items]})


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_the_tensors_that_went_bad_in_their_order(size) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("b")
        page = page_of(driven)
        assert page.names() == ("layer1.weight", "layer3.bias", "layer0.weight")
        for words in ("not finite 166", "exploding 250", "vanishing 20", "by who went bad first"):
            assert words in driven.text
        assert (driven.app.place.item, driven.app.place.step) == ("layer1.weight", 166)
        await driven.press("j")
        assert (driven.app.place.item, driven.app.place.step) == ("layer3.bias", 250)
        await driven.press("b")
        assert len(page.names()) == 8

    run = bad_run()
    drive(one(run), test, size=size, place=Place(screen="gradients", run=str(run.path)))


def test_without_a_bad_tensor_or_a_map_it_says_so() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("b")
        assert await driven.until(lambda: "No tensor went bad" in driven.text)
        await driven.press("M")
        assert await driven.until(lambda: "The sign map was not recorded" in driven.text)

    run = opened(events=())
    drive(one(run), test, place=Place(screen="gradients", run=str(run.path)))


def test_each_statistic_is_tensors_by_steps_with_a_curve_below() -> None:
    async def test(driven: Driven) -> None:
        page = page_of(driven)
        assert [e.name for e in page.entries()] == ["gradient_norm", "weight_histogram"]
        assert isinstance(page.heat, Heat)
        assert page.heat.values.shape[0] == 8
        await driven.press("j")
        assert "layer0.bias" in driven.lines[-2]

    run = opened()
    drive(one(run), test, place=Place(screen="gradients", run=str(run.path)))
