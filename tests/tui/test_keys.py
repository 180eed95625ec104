"""Every key of the key table does something that can be seen."""

from __future__ import annotations

import pytest

from tests.tui.driving import NARROW, WIDE, Driven, drive
from tests.tui.sources import folder, one, opened
from tui.keys import _NAMES, CHART, CORRELATIONS, GLOBAL, GRADIENTS, LIST, RUNS, Key
from tui.screens import SCREENS
from tui.screens.chart_page import ChartPage
from tui.screens.page import Page
from tui.screens.runs import Runs
from tui.state import Place

# What must be pressed before, so that there is something for the key to change.
BEFORE = {
    "→": ("home",), ".": ("home",), ">": ("home",), "End": ("home",), "Home": ("left",), "+": (), "-": ("plus",),
    "0": ("plus",), "=": (), "S": ("s",), "↑": ("down",), "k": ("down",), "g": ("G",), "PgUp": ("G",), "N": (),
    "PgDn": ("g",), "G": ("g",), "j": ("g",), "↓": ("g",),
    "[": (), "a": ("3",), "n": (), "v": ("3",), "m": ("3",), "o": ("3",), "!": (), "Esc": ("tab",), "l": (),
}  # fmt: skip
# Keys that write elsewhere are looked at in tests of their own.
QUIET = {"q"}


async def dead_keys(driven: Driven, keys: tuple[Key, ...]) -> list[str]:
    """The keys after which nothing on the screen is different."""
    dead = []
    start = driven.app.place
    for key in keys:
        for name in key.keys:
            if name in QUIET:
                continue
            await driven.begin_anew(start)
            await driven.press(*BEFORE.get(name, ()))
            before = driven.frame
            await driven.press(_NAMES.get(name, name))
            if not await driven.until(lambda before=before: driven.frame != before):
                dead.append(f"{name}: {key.text}")
    return dead


@pytest.mark.parametrize("keys", [GLOBAL, LIST, CHART], ids=["everywhere", "lists", "charts"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_each_key_on_a_run_changes_the_screen(keys: tuple[Key, ...], size: tuple[int, int]) -> None:
    async def test(driven: Driven) -> None:
        assert await dead_keys(driven, keys) == []

    drive(one(opened()), test, size=size)


def test_each_key_of_the_gradients_changes_the_screen() -> None:
    async def test(driven: Driven) -> None:
        assert await dead_keys(driven, GRADIENTS) == []

    run = opened()
    drive(one(run), test, place=Place(screen="gradients", run=str(run.path)))


def test_each_key_of_the_correlations_changes_the_screen() -> None:
    async def test(driven: Driven) -> None:
        assert await dead_keys(driven, CORRELATIONS) == []

    run = opened()
    drive(one(run), test, place=Place(screen="correlations", run=str(run.path)))


def test_each_key_on_the_list_of_runs_changes_the_screen() -> None:
    on_runs = tuple(key for key in (*GLOBAL, *LIST, *RUNS) if key.action not in ("arrange", "back"))

    async def test(driven: Driven) -> None:
        assert await dead_keys(driven, on_runs) == []

    drive(folder(), test)


def test_q_quits() -> None:
    async def test(driven: Driven) -> None:
        await driven.pilot.press("q")

    assert drive(folder(), test)._exit


def test_number_keys_go_to_their_screens_and_back() -> None:
    async def test(driven: Driven) -> None:
        for screen in (*SCREENS, *reversed(SCREENS)):
            await driven.press(screen.NUMBER)
            assert driven.app.place.screen == screen.NAME
            assert f" {screen.NUMBER} {screen.TITLE_WORD} " in driven.lines[0]

    drive(one(opened()), test)


def test_every_key_has_an_action_and_every_action_a_key() -> None:
    def actions(page: type[Page]) -> set[str]:
        return {name.removeprefix("action_") for name in dir(page) if name.startswith("action_")}

    keyed = {
        key.action.partition("(")[0].removeprefix("app.")
        for key in (*GLOBAL, *LIST, *RUNS, *CHART, *GRADIENTS, *CORRELATIONS)
    }
    own = set().union(*(actions(page) for page in (*SCREENS, ChartPage, Runs))) - actions(Page.__mro__[1])
    assert own <= keyed
    assert keyed <= own | {"help", "quit", "next_theme"}


def test_no_key_needs_ctrl_or_alt() -> None:
    for key in (*GLOBAL, *LIST, *RUNS, *CHART, *GRADIENTS, *CORRELATIONS):
        assert not any("ctrl" in name or "alt" in name for name in key.keys)


def test_help_and_key_line_name_the_keys_of_the_table() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("question_mark")
        for key in (*GLOBAL, *LIST, *RUNS, *CHART, *GRADIENTS, *CORRELATIONS):
            assert key.text[:30] in driven.text
            assert key.shown in driven.text
        await driven.press("escape")
        assert "/ filter" in driven.lines[-1]

    drive(one(opened()), test, size=(120, 90))
