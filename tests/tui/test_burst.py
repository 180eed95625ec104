"""Keys that arrive in one burst, as over a slow line or from a paste, do what they would one by one."""

from __future__ import annotations

from textual.events import Key

from tests.tui.driving import NAMES, Driven, drive
from tests.tui.sources import one, opened
from tui.state import Place


async def burst(driven: Driven, text: str) -> None:
    """Send keys as the terminal's driver does, without a pause between them."""
    for c in text:
        name = {"\r": "enter", "\x7f": "backspace", **NAMES}.get(c, c)
        driven.app.post_message(Key(name, c))


def test_what_is_typed_right_behind_the_key_that_opens_a_line() -> None:
    async def test(driven: Driven) -> None:
        await burst(driven, "/fc2.weightq\x7f\r")  # q would quit, 2 go to another screen
        assert await driven.until(lambda: driven.app.place.filters.get("layers") == "fc2.weight")
        assert await driven.until(lambda: len(driven.app.screen_stack) == 1)
        await burst(driven, ":7\r")
        assert await driven.until(lambda: driven.app.place.step == 7)
        assert driven.app.place.screen == "layers"

    drive(one(opened()), test, place=Place(screen="layers", run="runs/mlp.h5"))
