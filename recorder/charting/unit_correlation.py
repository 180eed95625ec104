"""Which unit of one layer goes with which unit of another? One pair of layers as a matrix, or all pairs in one.

Colours run from -1 to 1, centred at 0, at every step. A layer's units stand in model order, or clustered: each layer in
one order, that of its own correlations at the last recorded step, so that nothing moves from step to step.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from recorder.analysis.clustering import clustered as clusters
from recorder.analysis.layer_pairs import halves, layers_of, pair_name
from recorder.chart import Chart, Heat, Rule, Scale, View
from recorder.charting.captions import about, many
from recorder.charting.probed import beside
from recorder.view import At, RunView, Window

UNITS = "unit_correlation_units"
ENDS = (-1.0, 1.0)
LEAST = 8  # cells a layer of the overview, however many layers there are
NAMED = 3  # pairs of units that a caption names


def chart(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001 - drawn at one step
    """Units by units of one pair of layers, in model order."""
    return _matrix(run, series, at, ordered=False)


def clustered(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001
    """The same with units beside each other that go together."""
    return _matrix(run, series, at, ordered=True)


def overview(run: RunView, series: str, at: At, window: Window) -> View:
    """All pairs of layers in one map, a block each; a cell of several pairs of units is their strongest one."""
    s = run.series[series]
    layers, both = layers_of(s.items), halves(s.items)
    each = max(window.points // max(len(layers), 1), LEAST)
    step, blocks = 0, {}
    for item, (a, b) in both.items():
        step, values = run.row(series, at.step, item)
        blocks[a, b] = strongest_of(np.asarray(values), each)
        blocks[b, a] = blocks[a, b].T
    sizes = [len(blocks[a, a]) for a in layers]
    cells = np.full((sum(sizes), sum(sizes)), np.nan)
    starts = np.cumsum([0, *sizes])
    for i, a in enumerate(layers):
        for j, b in enumerate(layers):
            if (a, b) in blocks:
                cells[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = blocks[a, b]
    edges = np.concatenate([[0.0], *(k + np.arange(1, n + 1) / n for k, n in enumerate(sizes))])
    names = tuple(name for a in layers for name in _stretches(run, series, at, a, each))
    scale = Scale("unit", names=names, parts=tuple((k, k + 1.0, a) for k, a in enumerate(layers)))
    down = replace(scale, reverse=True)
    rules = tuple(Rule(float(k), axis) for k in range(1, len(layers)) for axis in "xy")
    heat = Heat(cells, edges, edges, "r", limits=ENDS, diverging=True)
    caption = (
        f"{about(run, s)} All pairs of {many(len(layers), 'layer', 'layers')} at step {step:,}, each layer as wide."
    )
    if any(n < run.series[series].shape_of(pair_name(a, a))[0] for a, n in zip(layers, sizes, strict=True)):
        caption += " A cell of several pairs of units shows the strongest of them."
    return Chart(f"unit correlation of all layers, step {step:,}", scale, down, (heat, *rules), caption)


def strongest_of(values: np.ndarray, cells: int) -> np.ndarray:
    """(row, column) in at most `cells` blocks each way: of each block the value that is farthest from 0."""
    missing = np.isnan(values)
    found = np.where(missing, 0, values) if missing.any() else values  # maxima that look out for NaN take far longer
    for _ in range(2):
        each = together(len(found), cells)
        high, low = _of_blocks(np.maximum, found, each), _of_blocks(np.minimum, found, each)
        found = np.where(high >= -low, high, low).T
        missing = _of_blocks(np.logical_and, missing, each).T
    return np.where(missing, np.nan, found)


def together(units: int, cells: int) -> int:
    """How many units share a cell."""
    return max(-(-units // max(cells, 1)), 1)


def _of_blocks(operation: np.ufunc, values: np.ndarray, each: int) -> np.ndarray:
    """(block, column) of so many rows each, the last one of fewer."""
    whole = len(values) // each * each
    blocks = operation.reduce(values[:whole].reshape(-1, each, values.shape[1]), axis=1)
    if whole == len(values):
        return np.asarray(blocks)
    return np.concatenate([blocks, operation.reduce(values[whole:], axis=0, keepdims=True)])


def top(values: np.ndarray, count: int, *, own: bool) -> list[tuple[int, int]]:
    """The cells of the strongest correlations, strongest first; `own`: of a layer with itself, each pair once."""
    size = np.abs(values, dtype=np.float32)  # as they were recorded
    size = np.where(size > 0, size, 0)
    if own:
        size = np.triu(size, 1)
    count = min(count, int(np.count_nonzero(size)))
    flat = np.argpartition(size.ravel(), -count)[-count:] if count else np.zeros(0, int)
    flat = flat[np.argsort(-size.ravel()[flat], kind="stable")]
    return [(int(k) // size.shape[1], int(k) % size.shape[1]) for k in flat]


def units(run: RunView, series: str, which: str, at: At, layer: str, count: int) -> np.ndarray:
    """The numbers that a layer's units have in the model, (unit,) int; 0, 1, ... where they were not recorded."""
    kept = beside(series, which)
    if kept in run.series and layer in run.series[kept].items:
        return np.asarray(run.row(kept, at.step, layer)[1]).astype(int)
    return np.arange(count)


def _matrix(run: RunView, series: str, at: At, *, ordered: bool) -> Chart:
    s = run.series[series]
    item = at.item_of(s)
    a, b = halves(s.items)[item]
    step, row = run.row(series, at.step, item)
    values = np.asarray(row, float)
    rows, columns = (units(run, series, UNITS, at, layer, n) for layer, n in zip((a, b), values.shape, strict=True))
    if ordered:
        down, across = (_order(run, series, layer, n) for layer, n in zip((a, b), values.shape, strict=True))
        values, rows, columns = values[np.ix_(down, across)], rows[down], columns[across]
    size = " x ".join(f"{n:,}" for n in values.shape)
    order = ", clustered as at the last step" if ordered else ""
    caption = f"{about(run, s)} {item} at step {step:,}, {size} units{order}."
    return matrix(values, (a, b), (rows, columns), f"unit correlation: {item}, step {step:,}", caption)


def matrix(
    values: np.ndarray, layers: tuple[str, str], numbers: tuple[np.ndarray, np.ndarray], title: str, caption: str
) -> Chart:
    """Correlations (unit, other unit) of two layers, whose units have these numbers in the model."""
    heat = Heat(values, label="r", limits=ENDS, diverging=True)
    down, across = (Scale(f"unit of {a}", names=tuple(map(str, n))) for a, n in zip(layers, numbers, strict=True))
    said = _said(values, *numbers, layers[0] == layers[1])
    return Chart(title, across, replace(down, reverse=True), (heat,), caption + said)


def _said(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, own: bool) -> str:
    """The dead units, and the strongest pairs of the others."""
    dead = int(np.isnan(values).all(axis=1).sum()) + (0 if own else int(np.isnan(values).all(axis=0).sum()))
    named = [f"{rows[i]} and {columns[j]} ({values[i, j]:.2f})" for i, j in top(values, NAMED, own=own)]
    said = f" Strongest: {', '.join(named)}." if named else ""
    return f"{said} {many(dead, 'unit', 'units')} did not vary." if dead else said


def _order(run: RunView, series: str, layer: str, count: int) -> np.ndarray:
    """(unit,) the order in which a layer's units are drawn."""
    own = pair_name(layer, layer)
    if own not in run.series[series].items:
        return np.arange(count)
    last = np.asarray(run.row(series, None, own)[1], np.float32)
    return _order_of(last.tobytes(), count)


@lru_cache(maxsize=16)
def _order_of(last: bytes, count: int) -> np.ndarray:
    """Each key asks for it again, and it takes longer than all the rest."""
    return clusters(np.frombuffer(last, np.float32).reshape(count, count))


def _stretches(run: RunView, series: str, at: At, layer: str, cells: int) -> list[str]:
    """The units of each cell of the overview, as in "fc1 12" or "fc1 12 … 15"."""
    count = run.series[series].shape_of(pair_name(layer, layer))[0]
    numbers, each = units(run, series, UNITS, at, layer, count), together(count, cells)
    ends = ((first, min(first + each, count) - 1) for first in range(0, count, each))
    return [
        f"{layer} {numbers[a]}" if a == b else f"{layer} {numbers[a]} … {numbers[b]}"
        for a, b in ends
    ]  # fmt: skip
