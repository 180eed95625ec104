"""How a test presses keys and looks at the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any

from textual._context import visible_screen_stack
from textual.pilot import Pilot

from tui.app import Explorer
from tui.screens.runs import Runs
from tui.source import Source
from tui.state import Place

WIDE, NARROW, HUGE = (120, 40), (80, 24), (200, 50)


async def at_rest(*_: float) -> None:
    """Until no task has anything left to do. Textual's own wait looks every 20 ms whether the process is idle."""
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:
        await asyncio.sleep(0)


class Driven:
    """An explorer under test."""

    def __init__(self, app: Explorer, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    async def settle(self) -> None:
        """Until everything that was asked for is drawn."""
        for _ in range(3):  # an answer may ask for more
            await self.pilot.pause()
            while self.app.reading or self._looking_for_runs:
                await asyncio.sleep(0.001)
            await self.pilot.pause()

    @property
    def _looking_for_runs(self) -> bool:
        """Whether the list of runs has yet to say what there is."""
        page = self.app.page
        return isinstance(page, Runs) and not (page._complete or page._records)

    async def press(self, *keys: str) -> None:
        """Press keys, each after the one before had its effect."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def begin_anew(self, place: Place) -> None:
        """Close what is open and go to a place."""
        while len(self.app.screen_stack) > 1:
            self.app.pop_screen()
        self.app.clear_notifications()
        self.app.show_screen(place.screen)
        self.app.go(**{f.name: getattr(place, f.name) for f in fields(place)})
        await self.settle()

    async def type(self, text: str) -> None:
        """Type text into a prompt."""
        for character in text:
            await self.pilot.press(character if character.isalnum() else NAMES[character])
        await self.settle()

    async def until(self, condition: Callable[[], bool], *, patience: float = 30.0) -> bool:
        """Whether something becomes true; toasts and timers take their time."""
        for _ in range(int(patience / 0.02)):
            if condition():
                return True
            await self.pilot.pause(0.02)
        return condition()

    @property
    def frame(self) -> list[Any]:
        """All cells with their styles, also those of a screen that shows through a dialog."""
        visible_screen_stack.set(self.app._background_screens)
        return [list(strip) for strip in self.app.screen._compositor.render_strips()]

    @property
    def lines(self) -> list[str]:
        """What the screen says."""
        return ["".join(segment.text for segment in line) for line in self.frame]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


NAMES = {
    " ": "space", "/": "slash", ".": "full_stop", "!": "exclamation_mark", "*": "asterisk", ">": "greater_than_sign",
    "<": "less_than_sign", "=": "equals_sign", "[": "left_square_bracket", "]": "right_square_bracket", "-": "minus",
    ",": "comma", ":": "colon", "?": "question_mark", "+": "plus", "_": "underscore", "(": "left_parenthesis",
}  # fmt: skip


def drive(
    source: Source,
    test: Callable[[Driven], Awaitable[None]],
    *,
    size: tuple[int, int] = WIDE,
    place: Place | None = None,
    settled: bool = True,
    **options: Any,
) -> Explorer:
    """Run a test against an explorer on a terminal of that size; `settled`: only once all that it asks for is drawn."""

    async def run() -> Explorer:
        app = Explorer(source, place=place, **options)
        app.NOTIFICATION_TIMEOUT = 3600  # what was said stays until it was looked at, however slow the machine
        async with app.run_test(size=size, notifications=True) as pilot:
            driven = Driven(app, pilot)
            if settled:
                await driven.settle()
            await test(driven)
        return app

    return asyncio.run(run())
