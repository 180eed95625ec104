"""A thousand runs, ten thousand tensors, five hundred metrics, names of 200 characters: every screen stays usable."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder.entries import drawn, find
from recorder.runfile.schema import Clock, Kind, Series
from recorder.view import At, Window
from tests.fakes import fake_run
from tests.tui.driving import NARROW, WIDE, Driven, drive
from tests.tui.sources import FakeOpened, FakeRecord, FakeSource, one
from tui import drawing, follow
from tui.drawing import Remembered
from tui.screens.run_page import RunPage
from tui.state import Place

TENSORS = 10_000
STEPS = np.arange(6)
CLOCK = Clock(STEPS, np.zeros(6, np.int64), STEPS + 1.7e9)


def tensor(k: int) -> str:
    return f"block{k // 100}.attention{k % 100}." + ("projection" * 18 if k % 50 == 0 else "weight")


def large() -> FakeOpened:
    """Very much of everything."""
    names = tuple(map(tensor, range(TENSORS)))
    metrics = tuple(f"group{k // 50}/metric{k}" for k in range(500))
    norms = Series("gradient_norm", Kind.PER_ITEM, "", "Norms.", names, item_dim="tensor", axis="step")
    scalars = Series("scalars", Kind.SCALAR, "", "Scalars.", metrics, dtype="float64", item_dim="scalar", axis="step")
    values = np.random.default_rng(0).random((6, TENSORS)).astype("f4")
    return FakeOpened(
        "large",
        {
            "scalars": (scalars, CLOCK, np.arange(3000.0).reshape(6, 500)),
            "gradient_norm": (norms, CLOCK, values),
        },
        path=Path("runs/large.h5"),
    )


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_ten_thousand_tensors(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    spans = RunPage._spans

    def counted(page: RunPage, row: int, *rest: Any) -> Any:
        made.append(row)
        return spans(page, row, *rest)

    monkeypatch.setattr(RunPage, "_spans", counted)

    async def test(driven: Driven) -> None:
        if size == NARROW:
            await driven.press("escape")
        assert "10000 tensors" in driven.text
        made.clear()
        await driven.press("j")
        assert driven.app.place.item == tensor(1)
        assert max(made) < size[1]  # only what is seen is made
        await driven.press("G")
        assert driven.app.place.item == tensor(TENSORS - 1)
        assert "attention99.weight" in driven.text
        await driven.press("pageup", "pageup")
        assert driven.app.place.item > tensor(TENSORS - 3 * size[1])
        await driven.press("slash")
        await driven.type("block7.attention50")
        await driven.press("enter")
        assert "1 of 10000 tensors" in driven.text
        assert driven.app.place.item == tensor(750)
        assert {len(line) for line in driven.lines} == {size[0]}  # a name of 200 characters breaks no column
        assert any("…" in line and "jection " in line for line in driven.lines)

    drive(one(large()), test, size=size, place=Place(screen="layers", run="runs/large.h5"))


def test_a_zoom_that_is_taken_back_is_not_drawn_again_and_few_cells_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int | None] = []

    def counted(run: Any, entry: Any, at: At, window: Window) -> Any:
        made.append(window.hi)
        return drawn(run, entry, at, window)

    monkeypatch.setattr(drawing, "drawn", counted)
    monkeypatch.setattr(drawing, "REMEMBERED", 800)
    run, remembered = fake_run(steps=50, tensors=8), Remembered()
    for hi in (None, 40, None, 40):
        remembered(run, find(run, "gradient_norm"), At(), Window(hi=hi))
    assert made == [None, 40]
    for hi in (30, 40, None):  # 8 x (50 + 41 + 31) cells are too many
        remembered(run, find(run, "gradient_norm"), At(), Window(hi=hi))
    assert made == [None, 40, 30, None]


def test_five_hundred_metrics_are_read_at_once() -> None:
    read: list[str | None] = []

    class Counted(FakeOpened):
        def row(self, series: str, step: int | None = None, item: str | None = None) -> Any:
            read.append(item)
            return super().row(series, step, item)

    async def test(driven: Driven) -> None:
        assert "501 entries" in driven.text
        await driven.press("G", "k")
        assert "group9/metric499" in driven.text
        assert "2999" in driven.text  # its last value
        read.clear()
        await driven.press("comma")
        assert "2499" in driven.text
        assert len(read) < 5

    drive(one(Counted(**vars(large()))), test, place=Place(screen="overview", run="runs/large.h5"))


def test_a_list_that_is_still_being_read_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "FIRST_BATCH", 0.01)
    monkeypatch.setattr(follow, "SHOWING_SHARE", math.inf)
    gate = threading.Event()
    looks = 0

    class Slow(FakeSource):
        def runs(self) -> Iterator[FakeRecord]:
            nonlocal looks
            looks += 1
            for k, record in enumerate(self.records):
                if k == 699:
                    time.sleep(2 * follow.FIRST_BATCH)  # so that the first 700 are shown
                if k == 700:
                    gate.wait(120)
                yield record

    source = Slow(records=[FakeRecord(Path(f"runs/run{k}.h5"), f"run{k}") for k in range(1000)])

    async def test(driven: Driven) -> None:
        assert await driven.until(lambda: "700 runs  looking for more" in driven.text)
        await driven.pilot.press("j", "j", "slash")
        await driven.pilot.press("r", "u", "n", "6", "9")
        assert await driven.until(lambda: "run69 " in driven.text and "run1 " not in driven.text)
        assert "looking for more" in driven.text
        gate.set()
        assert await driven.until(lambda: "11 of 1000 runs" in driven.text)  # read on under the prompt
        assert looks == 1
        await driven.pilot.press("enter")
        assert await driven.until(lambda: "11 of 1000 runs" in driven.text)
        assert "looking for more" not in driven.text

    try:
        drive(source, test, place=Place(screen="runs"), settled=False)
    finally:
        gate.set()
