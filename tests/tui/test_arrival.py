"""A run that went wrong opens at its first bad step, with the tensors in the order in which they went bad."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recorder import FlightRecorder, record
from tests.tui.driving import NARROW, WIDE, Driven, drive
from tests.tui.sources import FakeRecord, FakeSource, opened
from tui.source import Disk
from tui.state import Place, load

BAD = 105


class Chain:
    """Three tensors in a row, of which the middle one is the first to explode."""

    def __init__(self) -> None:
        self.parameters = {name: np.ones(4, np.float32) for name in ("first", "middle", "last")}
        self.gradients: dict[str, np.ndarray] = {}

    def step(self) -> None:
        for name, w in self.parameters.items():
            w -= 1e-6 * self.gradients[name]


def recorded(path: Path, *, raises: bool = False, norms: bool = True, well: bool = False) -> Path:
    """A run of 150 steps that goes wrong at step 105, or by an exception after it."""
    model, rng = Chain(), np.random.default_rng(0)
    flight = FlightRecorder(norms=norms)
    try:
        with record(model, path, flight_recorder=flight, progress=False) as run:
            for step in range(150):
                sizes = dict.fromkeys(model.parameters, 1.0)
                if step >= BAD and not raises and not well:
                    sizes["middle"] = 1e4
                if step >= BAD + 2 and not raises and not well:
                    sizes |= dict.fromkeys(sizes, np.nan)
                for name, size in sizes.items():
                    model.gradients[name] = (size * rng.normal(size=4)).astype(np.float32)
                model.step()
                run.step(loss=1.0 + 0.1 * rng.random(), batch=step)
                if raises and step == BAD:
                    raise RuntimeError("out of memory")
    except RuntimeError:
        pass
    return path


@pytest.fixture(scope="module")
def exploded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("runs") / "exploded.h5")


def tensors(driven: Driven) -> list[str]:
    """The names in the list, from above."""
    return [line.split()[0] for line in driven.lines if "bad from" in line]


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])
def test_it_opens_at_the_first_bad_step_with_who_went_bad_first(exploded: Path, size: tuple[int, int]) -> None:
    async def test(driven: Driven) -> None:
        place = driven.app.place
        assert (place.screen, place.chosen["layers"], place.step) == ("layers", "flight_gradient_norm", BAD)
        assert (place.item, place.order) == ("middle", "first bad")
        assert (place.lo, place.hi) == (BAD - 64, BAD + 16)
        assert "3 tensors by who went bad first" in driven.text
        assert f"step {BAD}" in driven.text
        assert await driven.until(lambda: f"step {BAD}: exploding in middle: gradient norm" in driven.text)
        if size == NARROW:
            await driven.press("tab")
        assert tensors(driven) == ["middle", "last", "first"]
        assert [f"bad from {step}" in driven.text for step in (BAD, BAD + 2)] == [True, True]

    drive(Disk(exploded), test, size=size)


def test_the_order_is_one_of_tensors_alone(exploded: Path) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("2")
        assert "bad first" not in driven.lines[4]
        await driven.press("3", "a")
        assert (driven.app.place.order, "bad from" in driven.text) == ("recorded", False)
        await driven.press("a", "a", "a")
        assert tensors(driven) == ["middle", "last", "first"]
        await driven.press("2", "a", "a", "a")
        assert driven.app.place.order == "recorded"  # which it was here all along, and round

    drive(Disk(exploded), test)


def test_the_list_of_runs_shows_it_and_opens_it_there(exploded: Path) -> None:
    async def test(driven: Driven) -> None:
        assert await driven.until(lambda: "exploding +1" in driven.text)
        await driven.press("enter")
        assert (driven.app.place.screen, driven.app.place.step) == ("layers", BAD)

    drive(Disk(exploded.parent), test)


def test_what_is_told_while_another_screen_is_shown_is_asked_for_again(exploded: Path) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("2")
        driven.app.show_entry("step_time")  # the overview asks; who arrives goes on to the layers before it is answered
        driven.app.show_screen("layers")
        await driven.settle()
        await driven.press("2")
        assert "step_time" in driven.lines[-2]
        assert "reading" not in driven.text

    drive(Disk(exploded), test)


def test_where_one_was_is_where_one_comes_back_to_until_it_goes_wrong_again(exploded: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"

    async def leave(driven: Driven) -> None:
        await driven.press("2", "colon")
        await driven.type("70")
        await driven.press("enter")

    async def back(driven: Driven) -> None:
        assert (driven.app.place.screen, driven.app.place.step) == ("overview", 70)

    async def again(driven: Driven) -> None:
        assert (driven.app.place.screen, driven.app.place.step) == ("layers", BAD)

    drive(Disk(exploded), leave, state=state)
    place = load(state)
    assert place.anomalies == 2
    drive(Disk(exploded), back, place=place)
    drive(Disk(exploded), again, place=replace(place, anomalies=1))


def test_a_run_that_an_exception_ended_opens_at_its_end(tmp_path: Path) -> None:
    path = recorded(tmp_path / "raised.h5", raises=True)

    async def test(driven: Driven) -> None:
        place = driven.app.place
        assert (place.screen, place.chosen["overview"], place.step) == ("overview", "loss", BAD + 1)
        assert (place.lo, place.hi) == (BAD + 1 - 64, BAD)
        assert f"step {BAD} / {BAD}" in driven.text
        assert await driven.until(lambda: f"step {BAD + 1}: RuntimeError: out of memory" in driven.text)

    drive(Disk(path), test)


def test_a_run_without_norms_of_each_step_opens_on_those_that_it_has(tmp_path: Path) -> None:
    path = recorded(tmp_path / "light.h5", norms=False)

    async def test(driven: Driven) -> None:
        place = driven.app.place
        assert (place.screen, place.chosen["layers"], place.step) == ("layers", "gradient_norm", 110)
        assert tensors(driven) == ["first", "middle", "last"]  # weights, all within one of the recorded steps

    drive(Disk(path), test)


def test_a_healthy_run_opens_as_ever(tmp_path: Path) -> None:
    path = recorded(tmp_path / "well.h5", well=True)

    async def test(driven: Driven) -> None:
        assert (driven.app.place.screen, driven.app.place.step, driven.app.place.order) == (
            "overview",
            None,
            "recorded",
        )

    drive(Disk(path), test)


def test_another_run_does_not_keep_the_order(exploded: Path) -> None:
    healthy = opened("runs/healthy.h5", events=())
    source = FakeSource(records=[FakeRecord(healthy.path, "healthy")], known={str(healthy.path): healthy})

    async def test(driven: Driven) -> None:
        await driven.press("enter")
        assert (driven.app.place.screen, driven.app.place.order) == ("overview", "recorded")

    drive(source, test, place=Place(screen="runs", order="first bad"))
