"""The widget paints only when something changed, sends only the lines that differ, and says where its cursor goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from recorder.chart import Chart, Heat, Line, Plate, Scale
from tui.terminal import Cursor, Look
from tui.widgets import chart_view
from tui.widgets.chart_view import ChartView

T = np.arange(1000.0)
LOSS = Chart("loss", Scale("step"), marks=(Line(T, np.exp(-T / 300)),))
NORM = Chart("norm", Scale("step"), Scale("tensor", reverse=True), (Heat(np.random.default_rng(1).random((6, 40))),))


class Screen(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.moves: list[ChartView.CursorMoved] = []

    def compose(self) -> ComposeResult:
        yield ChartView(LOSS)

    def on_chart_view_cursor_moved(self, message: ChartView.CursorMoved) -> None:
        self.moves.append(message)


def drive(test: Callable[[Screen, ChartView, Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        app = Screen()
        async with app.run_test(size=(80, 24)) as pilot:
            view = app.query_one(ChartView)
            view.focus()
            await pilot.pause()
            await test(app, view, pilot)

    asyncio.run(run())


def test_arrows_move_the_cursor_by_a_column_and_say_so():
    async def test(app, view, pilot):
        await pilot.press("left")
        await pilot.press("left")
        await pilot.press("right")
        assert len(app.moves) == 3
        places = [move.x for move in app.moves]
        assert places[0] > places[1] < places[2]
        assert places[0] == places[2] == view.cursor.x
        field = view.painting.fields[0]
        assert field.column(places[0]) == field.left + field.width - 1

    drive(test)


def test_in_a_heat_map_arrows_move_by_entries():
    async def test(app, view, pilot):
        view.show(NORM)
        await pilot.press("left", "left", "down", "down")
        assert view.cursor == Cursor(row=2, column=38)
        await pilot.press("up")
        assert (view.cursor.row, app.moves[-1].x) == (1, 38.0)
        await pilot.press(*["up"] * 9)
        assert view.cursor.row == 0

    drive(test)


def test_a_click_sets_the_cursor_where_it_hits():
    async def test(app, view, pilot):
        field = view.painting.fields[0]
        await pilot.click(ChartView, offset=(field.left + 30, field.top + 5))
        assert field.column(app.moves[-1].x) == field.left + 30
        await pilot.click(ChartView, offset=(0, 0))
        assert len(app.moves) == 1

    drive(test)


def test_nothing_is_painted_twice(monkeypatch):
    calls: list[tuple[int, int]] = []
    paint = chart_view.paint

    def counted(view, width, height, look, *, cursor=None):
        calls.append((width, height))
        return paint(view, width, height, look, cursor=cursor)

    monkeypatch.setattr(chart_view, "paint", counted)

    async def test(app, view, pilot):
        before = len(calls)
        view.refresh()
        await pilot.pause()
        assert len(calls) == before
        view.show(NORM)
        view.look = Look(colour_map="magma")
        view.cursor = Cursor(row=1, column=1)
        await pilot.pause()
        assert len(calls) == before + 3
        assert calls[-1] == (80, 24)

    drive(test)


def test_only_lines_that_differ_are_sent(monkeypatch):
    async def test(app, view, pilot):
        sent: list[Region] = []
        refresh = view.refresh
        monkeypatch.setattr(
            view, "refresh", lambda *regions, **options: (sent.extend(regions), refresh(*regions, **options))[1]
        )
        view.show(Chart("loss!", LOSS.x, LOSS.y, LOSS.marks))
        assert [region.y for region in sent] == [0]
        sent.clear()
        view.show(Chart("loss!", LOSS.x, LOSS.y, LOSS.marks))
        assert sent == []

    drive(test)


def test_it_says_that_it_is_busy_without_hiding_the_chart():
    async def test(app, view, pilot):
        view.busy = True
        await pilot.pause()
        assert view.render_line(0).text.endswith(" loading … ")
        assert view.render_line(0).cell_length == 80
        view.busy = False
        assert "loading" not in view.render_line(0).text

    drive(test)


def test_it_lives_through_resizing_and_empty_views():
    async def test(app, view, pilot):
        view.show(Plate(((LOSS, NORM), (LOSS,))))
        for size in ((10, 3), (1, 1), (200, 50), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("left", "up")
            assert len(view.painting.strips) == view.size.height
        view.show(Plate(()))
        await pilot.press("left")
        view.show(Chart(""))
        await pilot.press("left")

    drive(test)
