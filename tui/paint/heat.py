"""How does a matrix become coloured cells? Two values a cell, one above the other, with no spike averaged away.

Where many values share a cell the one farthest from zero is shown, among categories the commonest. NaN is hatched or
tinted, and a cell that hides a NaN behind finite values is marked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.chart import Heat, Limits
from tui.paint.field import Axis, edges
from tui.paint.look import Normalise

EMPTY = -1.0  # under log: nothing there (a count of 0)


@dataclass(frozen=True)
class Shades:
    """What each cell shows, (row from the top, column): a share of the colour scale 0..1, EMPTY, or NaN; for
    categories the category's number. `hides` marks cells with a NaN among finite values.
    """

    value: np.ndarray
    hides: np.ndarray
    limits: Limits


def limits(heat: Heat) -> Limits:
    """The values at both ends of the colour scale."""
    if heat.limits is not None:
        return heat.limits
    values = np.asarray(heat.values)
    low, high = (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)
    if not (np.isfinite(high - low) and (low > 0 or not heat.log)):  # a mask costs more than the values
        values = values[np.isfinite(values) & (values > 0)] if heat.log else values[np.isfinite(values)]
        if not values.size:
            return (0.1, 1.0) if heat.log else (0.0, 1.0)
        low, high = float(values.min()), float(values.max())
    if heat.diverging:
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    return (low, high) if low < high else (low, low + (abs(low) or 1.0))


def shades(heat: Heat, x: Axis, y: Axis, *, rows: int, normalise: Normalise = "global") -> Shades:
    """Sample a heat map into `rows` rows and the columns of `x`."""
    values = np.asarray(heat.values, dtype=float)
    x_edges, y_edges = edges(heat)
    ends = limits(heat)
    if values.size == 0:
        nothing = np.full((rows, x.cells), np.nan)
        return Shades(nothing, np.zeros(nothing.shape, dtype=bool), ends)
    columns = blocks(x.fraction(x_edges), x.cells)
    down = blocks(y.fraction(y_edges), rows)
    if heat.categories:
        return Shades(
            _commonest(values, down, columns, len(heat.categories))[::-1], np.zeros((rows, x.cells), bool), ends
        )
    missing = np.isnan(values)
    if normalise == "global":  # its scale keeps the order, so that only what is shown needs it
        (high, zero), (low, _) = (_scaled(heat, found, ends) for found in _extremes(values, down, columns))
    else:
        scaled, zero = _scaled(heat, values, ends, normalise)
        high, low = _extremes(scaled, down, columns)
    # Under a logarithm zero is infinitely far away: what is largest counts.
    value = high if heat.log else np.where(np.abs(high - zero) >= np.abs(low - zero), high, low)
    hides = _reduced(np.logical_or, missing, down, columns)
    hides &= ~np.isnan(value)
    outside = ~(down.valid[:, None] & columns.valid[None])
    value[outside], hides[outside] = EMPTY, False
    return Shades(value[::-1], hides[::-1], ends)


def _extremes(values: np.ndarray, down: Blocks, columns: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the smallest value of each cell; NaN where it has none."""
    return _reduced(np.fmax, values, down, columns), _reduced(np.fmin, values, down, columns)


def _scaled(heat: Heat, values: np.ndarray, ends: Limits, normalise: Normalise = "global") -> tuple[np.ndarray, float]:
    """Values as shares of the colour scale, and where zero lies on it."""
    with np.errstate(all="ignore"):
        v = np.log(np.where(values > 0, values, np.nan)) if heat.log else values
        low, high = (np.float64(np.log(end)) if heat.log else np.float64(end) for end in ends)
        if normalise != "global":
            axis = 1 if normalise == "row" else 0
            finite = np.isfinite(v)
            low = np.where(finite, v, np.inf).min(axis=axis, keepdims=True)
            high = np.where(finite, v, -np.inf).max(axis=axis, keepdims=True)
            if heat.diverging:
                high = np.maximum(np.abs(low), np.abs(high))
                low = -high
        span = np.where(high > low, high - low, 1.0)
        share = np.clip((v - low) / span, 0.0, 1.0)
        if heat.log:
            share = np.where(values <= 0, EMPTY, share)
    if heat.diverging:
        return share, 0.5
    if heat.log or normalise != "global":
        return share, 0.0
    return share, float(np.clip(-low / span, 0.0, 1.0))


@dataclass(frozen=True)
class Blocks:
    """Which entries first..last (exclusive) each cell shows; `valid` where it shows any; `flip` where data fall."""

    first: np.ndarray
    last: np.ndarray
    valid: np.ndarray


def blocks(fraction: np.ndarray, cells: int) -> Blocks:
    """Share `cells` cells among the entries between edges given as fractions: every entry inside is in some cell."""
    f = np.where(np.isnan(fraction), -np.inf, fraction)
    entries = len(f) - 1
    falling = bool(f[-1] < f[0])
    if falling:
        f = f[::-1]
    middle = np.clip(f, -1e9, 1e9)
    middle = (middle[:-1] + middle[1:]) / 2
    bounds = np.arange(cells + 1) / cells
    first = np.searchsorted(middle, bounds[:-1] - 1e-12)
    last = np.searchsorted(middle, bounds[1:] - 1e-12)
    centre = (bounds[:-1] + bounds[1:]) / 2
    under = np.searchsorted(f, centre, side="right") - 1
    few = last <= first
    first, last = np.where(few, under, first), np.where(few, under + 1, last)
    valid = (centre >= f[0]) & (centre <= f[-1])
    first = np.clip(first, 0, entries - 1)
    last = np.clip(last, first + 1, entries)
    if falling:
        first, last = entries - last, entries - first
    return Blocks(first, last, valid)


def _reduced(operation: np.ufunc, values: np.ndarray, down: Blocks, along: Blocks) -> np.ndarray:
    return _along(operation, _along(operation, values, down, 0), along, 1)  # rows first: they lie together


def _along(operation: np.ufunc, values: np.ndarray, parts: Blocks, axis: int) -> np.ndarray:
    for turn in (1, -1):
        first, last = parts.first[::turn], parts.last[::turn]
        if last[-1] == values.shape[axis] and (first[1:] == last[:-1]).all():  # one after another, up to the end
            found = operation.reduceat(values, first, axis=axis)
            return found if turn == 1 else np.flip(found, axis)
    # reduceat takes start, stop, start, stop, ...; an extra entry at the end makes the last stop legal.
    padded = np.concatenate([values, np.take(values, [-1], axis=axis)], axis=axis)
    stops = np.stack([parts.first, parts.last], axis=1).ravel()
    return np.take(operation.reduceat(padded, stops, axis=axis), np.arange(0, len(stops), 2), axis=axis)


def _commonest(values: np.ndarray, down: Blocks, along: Blocks, categories: int) -> np.ndarray:
    counts = np.stack([_reduced(np.add, (values == k).astype(np.int64), down, along) for k in range(categories)])
    best = counts.argmax(axis=0).astype(float)
    best[counts.sum(axis=0) == 0] = np.nan
    best[~(down.valid[:, None] & along.valid[None])] = EMPTY
    return best
