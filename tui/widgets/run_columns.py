"""Which columns has the list of runs, on which screens, and what stands in them?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recorder.analysis.health import findings
from recorder.number import size
from tui.filter import flat
from tui.health import badge
from tui.ink import Ink
from tui.source import Record
from tui.widgets.line import Span
from tui.words import age, clip, count, fit, number, plain, sparkline

GAP = 2
SIGNS = {
    "recording": ("●", "accent"),
    "done": ("✓", "good"),
    "failed": ("✗", "bad"),
    "killed": ("✗", "bad"),
    "damaged": ("‼", "bad"),
}


@dataclass(frozen=True)
class Cell:
    """What a column needs to draw one cell."""

    record: Record
    width: int
    ink: Ink
    now: float


@dataclass(frozen=True)
class Column:
    """One column: its title, width (0: what is left), the screen width from which it is shown, and its cell."""

    title: str
    width: int
    since: int
    draw: Callable[[Cell], Span]
    right: bool = False


def state(word: str, ink: Ink) -> Span:
    """A run's state as a sign and a word, so that it needs no colour."""
    sign, tone = SIGNS[word]
    return f"{sign} {word}", getattr(ink, tone)


def settings_of(r: Record) -> dict[str, Any]:
    """What the settings filter sees: the user's own `meta=`, and what else is known of the run."""
    about = {"name": r.name, "state": r.state.value, "framework": r.framework, "steps": r.steps, "loss": r.loss}
    return {**flat({k: v for k, v in r.meta.items() if k != "config"}), **about, **own_settings(r)}


def own_settings(r: Record) -> dict[str, Any]:
    """The user's own `meta=`, flat."""
    config = r.meta.get("config", {})
    return flat(config) if isinstance(config, Mapping) else {}


def _name(c: Cell) -> Span:
    return clip(c.record.name, c.width, middle=True), c.ink.strong


def _state(c: Cell) -> Span:
    return state(c.record.state.value, c.ink)


def _framework(c: Cell) -> Span:
    return clip(c.record.framework, c.width), c.ink.muted


def _steps(c: Cell) -> Span:
    return count(c.record.steps), c.ink.text


def _loss(c: Cell) -> Span:
    loss = c.record.loss
    return ("", c.ink.muted) if loss is None else (number(loss), c.ink.text if math.isfinite(loss) else c.ink.bad)


def _course(c: Cell) -> Span:
    return sparkline(c.record.losses, c.width), c.ink.accent


def _settings(c: Cell) -> Span:
    words = (f"{name.rpartition('.')[2]}={value}" for name, value in own_settings(c.record).items())
    return clip(plain(" ".join(words)), c.width), c.ink.muted


def _health(c: Cell) -> Span:
    return badge(findings(c.record.health), c.width), c.ink.bad


def _size(c: Cell) -> Span:
    return size(c.record.size), c.ink.muted


def _age(c: Cell) -> Span:
    return age(c.now - c.record.mtime), c.ink.muted


COLUMNS = (
    Column("name", 0, 0, _name),
    Column("state", 11, 0, _state),
    Column("framework", 10, 110, _framework),
    Column("steps", 6, 0, _steps, right=True),
    Column("loss", 9, 0, _loss, right=True),
    Column("", 10, 0, _course),
    Column("settings", 32, 150, _settings),
    Column("health", 15, 90, _health),
    Column("size", 7, 72, _size, right=True),
    Column("age", 6, 60, _age, right=True),
)


def layout(width: int, screen: int) -> list[tuple[Column, int]]:
    """The columns that a screen shows, with their widths; the name takes what is left."""
    shown = [c for c in COLUMNS if screen >= c.since]
    rest = width - 2 - sum(c.width for c in shown) - GAP * (len(shown) - 1)
    return [(c, c.width or max(rest, 8)) for c in shown]


def head(columns: Sequence[tuple[Column, int]], ink: Ink) -> list[Span]:
    """The titles."""
    titles = (c.title.rjust(w) if c.right else c.title.ljust(w) for c, w in columns)
    return [(" " + (" " * GAP).join(titles), ink.muted)]


def spans(record: Record, columns: Sequence[tuple[Column, int]], ink: Ink, *, now: float) -> list[Span]:
    """One run's line."""
    out: list[Span] = [(" ", ink.text)]
    for column, width in columns:
        text, style = column.draw(Cell(record, width, ink, now))
        out += [(fit(text, width, right=column.right), style), (" " * GAP, ink.text)]
    return out


def damaged(record: Record, columns: Sequence[tuple[Column, int]], ink: Ink) -> list[Span]:
    """The line of a run that cannot be read: its name, and what is wrong with it."""
    width = columns[0][1]
    word, style = state(record.state.value, ink)
    return [
        (f" {fit(clip(record.name, width, middle=True), width + GAP)}", ink.strong),
        (word.ljust(11 + GAP), style),
        (plain(record.error), ink.muted),
    ]
