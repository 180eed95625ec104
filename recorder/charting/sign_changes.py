"""How many parameters have another colour in a row of the sign map than in the row before, and how many another sign?

With a row an epoch this is the change of sign from one epoch to the next. It is read off the map itself, a part of each
row at a time. A tensor that was not updated in one of two rows has no change between them, and no part in the total.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np

from recorder.analysis.signs import changed
from recorder.chart import Chart, Line, Scale
from recorder.charting.captions import many, stretch
from recorder.charting.parameters import Parameters
from recorder.charting.sign_levels import BITS, known, parameters_of
from recorder.view import At, RunView, Window

AT_ONCE = 4 << 20  # bytes of a map that are read together
TITLE = "changes of the gradient signs"


@dataclass(frozen=True, eq=False)
class Changes:
    """Of each row but the first, beside the row before."""

    step: np.ndarray  # (row,)
    epoch: np.ndarray  # (row,) epochs completed
    colour: np.ndarray  # (row,) parameters with another colour
    sign: np.ndarray  # (row,) parameters near zero in both rows, once with g < 0 and once with g > 0
    compared: np.ndarray  # (row,) parameters updated in both


def chart(run: RunView, series: str, at: At, window: Window) -> Chart:
    """The shares of the parameters with another colour, and with another sign, over the rows."""
    parameters = parameters_of(run)
    tensors = parameters.names if at.item is None else (at.item,)
    found = changes(run, parameters, tensors, window)
    total = np.where(found.compared, found.compared, np.nan)
    lines = (
        Line(found.step.astype(float), found.colour / total, "another colour", colour=0),
        Line(found.step.astype(float), found.sign / total, "red to green, or back", colour=1),
    )
    where = at.item or "all tensors"
    count = sum(b - a for a, b in map(parameters.span, tensors))
    said = stretch(found.step) if len(found.step) else "no two rows"
    caption = (
        f"{run.series[series].doc} Each row beside the one before, which is {_pace(found)}: parameters with another "
        f"colour, and those near zero in both rows whose sign changed. {where}, "
        f"{many(count, 'parameter', 'parameters')}, {said}."
    )
    title = TITLE + (f": {at.item}" if at.item else "")
    return Chart(title, Scale("step"), Scale("share of the parameters"), lines, caption)


def changes(run: RunView, parameters: Parameters, tensors: tuple[str, ...], window: Window) -> Changes:
    """Of these tensors together, from row to row of the window."""
    every = replace(window, points=sys.maxsize, parameters=None)
    clock = max((run.clock(BITS, tensor) for tensor in tensors), key=len)
    inside = (clock.step >= (window.lo or 0)) & (clock.step <= (sys.maxsize if window.hi is None else window.hi))
    step, epoch = clock.step[inside], clock.epoch[inside]
    counts = np.zeros((3, max(len(step) - 1, 0)), np.int64)
    for tensor in tensors:
        lo, hi = parameters.span(tensor)
        colour, sign, steps = _rows(run, tensor, hi - lo, every, len(step))
        if len(steps) < 2:
            continue
        there = known(run, parameters, steps, np.array([lo]), every)[:, 0]
        both = there[1:] & there[:-1]
        at = np.searchsorted(step, steps[1:]) - 1
        counts[:, at] += np.where(both, np.stack([colour, sign, np.full(len(colour), hi - lo)]), 0)
    return Changes(step[1:], epoch[1:], *counts)


def _rows(run: RunView, tensor: str, size: int, every: Window, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes of colour and of sign, and the steps of all rows."""
    bytes, wide = -(-size // 4), max(AT_ONCE // max(rows, 1), 1)
    found = []
    for first in range(0, bytes, wide):
        part = first, min(first + wide, bytes)
        clock, codes = run.rows(BITS, tensor, every, part=part)
        found.append(changed(codes.reshape(len(clock), part[1] - part[0])))
    colour, sign = (np.sum(parts, axis=0) for parts in zip(*found, strict=True))
    return colour, sign, clock.step


def _pace(found: Changes) -> str:
    """What lies between two rows."""
    by_epoch = np.diff(found.epoch)
    return "of the epoch before" if len(by_epoch) and (by_epoch == 1).all() else "some steps earlier"
