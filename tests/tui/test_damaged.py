"""The explorer's list shows damaged and hostile runs as such, says why, and goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

from recorder.runfile.schema import State
from tests.runfile.corpus import RUNS, good
from tests.tui.driving import Driven, drive
from tui.source import Disk

BAD = ("half of it", "an external link", "8 terabytes", "a newer format", "a deep declaration", "an unknown kind")


def test_damaged_runs_are_listed_with_the_reason_and_do_not_open(tmp_path: Path) -> None:
    template = good(tmp_path / "template").parent
    runs = tmp_path / "runs"
    for k, name in enumerate(BAD):
        path = shutil.copytree(template, runs / f"{k}").joinpath("run.h5").rename(runs / f"{k}" / f"bad{k}.h5")
        RUNS[name].build(path)
    shutil.copy(template / "run.h5", runs / "good.h5")

    async def test(driven: Driven) -> None:
        assert await driven.until(lambda: len(driven.app.screen._records) == len(BAD) + 1)
        assert driven.text.count("damaged") >= len(BAD)
        assert {r.name for r in driven.app.screen._records if r.state is State.DAMAGED} == {
            f"bad{k}" for k in range(len(BAD))
        }
        for k in range(len(BAD)):
            await driven.press("g", *["down"] * k, "enter")
            assert driven.app.place.screen == "runs"
            assert await driven.until(lambda k=k: f"bad{k}: " in driven.text)
        await driven.press("G", "enter")
        assert await driven.until(lambda: driven.app.place.screen != "runs")

    drive(Disk(runs), test)
