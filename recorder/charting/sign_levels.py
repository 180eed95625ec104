"""What does a sign map hold of some stretch of a network's parameters, and which stored level says it soonest?

Three levels are stored: two bits a parameter, and counts of the four codes in blocks of 256 and in larger ones, about
4,000 over the network. Whole levels are never read, only the part of each row that is asked for. Blocks end where their
tensor ends. Older files have the larger blocks alone, tensor by tensor, as `sign_map_counts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from recorder.analysis.signs import FAR, LANES, unpacked
from recorder.charting.parameters import Parameters
from recorder.runfile.schema import Series
from recorder.view import RunView, Window

BITS, FINE, COARSE, PER_TENSOR = "sign_map", "sign_map_blocks", "sign_map_overview", "sign_map_counts"
BYTE = 4  # parameters
ROWS = 400  # the most rows of a view: more than a figure or a terminal can show
EACH = 4  # up to so many parameters a column are read one by one


@dataclass(frozen=True, eq=False)
class Stretch:
    """Rows of a sign map over the parameters edges[0]..edges[-1]."""

    step: np.ndarray  # (row,) int64
    epoch: np.ndarray  # (row,) int64, epochs completed
    edges: np.ndarray  # (cell + 1,) int64: the parameters of each cell
    counts: np.ndarray  # (row, cell, 4) of each code; all 0 where the tensor was not updated
    codes: np.ndarray | None = None  # (row, cell) where a cell is one parameter; NaN where it was not updated

    @property
    def majority(self) -> np.ndarray:
        """(row, cell) the code that most of a cell's parameters have; NaN where none was updated."""
        if self.codes is not None:
            return self.codes
        return np.where(self.counts.any(axis=2), self.counts.argmax(axis=2), np.nan)


@dataclass(frozen=True)
class _Home:
    """One dataset of a level: the item that it is stored under, and the tensors first..last (exclusive) in it."""

    item: str
    first: int
    last: int


@dataclass(frozen=True)
class _Level:
    series: str
    block: int  # parameters
    homes: tuple[_Home, ...]


def parameters_of(run: RunView) -> Parameters:
    """The parameters that the run's sign map has."""
    s = run.series[BITS]
    known = {t["name"]: prod(t["shape"]) for t in run.meta.get("tensors", ())}
    return Parameters.of(run.meta, {item: known.get(item, BYTE * prod(s.shape_of(item))) for item in s.items})


def stretch(run: RunView, lo: int, hi: int, *, columns: int, window: Window = Window()) -> Stretch:  # noqa: B008 - frozen
    """Parameters lo..hi (exclusive) in at most about `columns` cells, none of which reaches over a tensor's end."""
    parameters = parameters_of(run)
    lo, hi = max(lo, 0), min(hi, len(parameters))
    each = (hi - lo) / max(columns, 1)
    levels = [level for level in _levels(run, parameters) if level.block <= max(each, BYTE)]
    level = levels[-1] if levels else _bits(run, parameters)
    window = replace(window, points=ROWS)
    if level.series == BITS and each <= EACH:
        return _one_by_one(run, parameters, lo, hi, window)
    step, epoch, edges, counts = _read(run, parameters, level, lo, hi, window)
    starts, bounds = _cells(parameters, level.block, edges, max(int(each // level.block), 1))
    if len(starts) < counts.shape[1]:
        counts = np.add.reduceat(counts, starts, axis=1)
    if level.series == BITS:
        counts = _updated(run, parameters, step, bounds, counts.view(np.uint16).reshape(*counts.shape, 4), window)
    return Stretch(step, epoch, bounds, counts)


def _levels(run: RunView, parameters: Parameters) -> list[_Level]:
    """Those that the run has, finest first."""
    found = [_bits(run, parameters)]
    for name in (FINE, COARSE):
        if name in run.series:
            s = run.series[name]
            firsts = [*(parameters.names.index(item) for item in s.items), len(parameters.names)]
            homes = tuple(_Home(item, a, b) for item, a, b in zip(s.items, firsts, firsts[1:], strict=False))
            found.append(_Level(name, _block(s, parameters, homes), homes))
    if COARSE not in run.series and PER_TENSOR in run.series:
        s = run.series[PER_TENSOR]
        homes = tuple(_Home(item, t, t + 1) for t, item in enumerate(parameters.names) if item in s.items)
        found.append(_Level(PER_TENSOR, _block(s, parameters, homes), homes))
    return found


def _bits(run: RunView, parameters: Parameters) -> _Level:  # noqa: ARG001
    return _Level(BITS, BYTE, tuple(_Home(item, t, t + 1) for t, item in enumerate(parameters.names)))


def _block(series: Series, parameters: Parameters, homes: Sequence[_Home]) -> int:
    """The power of two that gives the stored number of blocks; where two would, they divide nothing differently."""
    sizes = [np.diff(parameters.starts[home.first : home.last + 1]) for home in homes]
    wanted = [series.shape_of(home.item)[0] for home in homes]
    block = BYTE
    while any(int((-(-size // block)).sum()) > n for size, n in zip(sizes, wanted, strict=True)):
        block *= 2
    return block


def _read(
    run: RunView, parameters: Parameters, level: _Level, lo: int, hi: int, window: Window
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """-> step (row,), epoch (row,), edges (block + 1,), counts (row, block, 4), or (row, byte) of all four at once."""
    pieces, edges = [], []
    for home, part, starts in _parts(parameters, level, lo, hi):
        clock, values = run.rows(level.series, home.item, window, part=part)
        values = values.reshape(len(clock), part[1] - part[0], 1 if level.series == BITS else 4)
        pieces.append((clock, LANES[values[..., 0]] if level.series == BITS else values.astype(np.int64)))
        edges.append(starts)
    step, first = np.unique(np.concatenate([clock.step for clock, _ in pieces]), return_index=True)
    epoch = np.concatenate([clock.epoch for clock, _ in pieces])[first]
    whole = []
    for clock, values in pieces:
        if len(clock) < len(step):  # a tensor that came later has no earlier rows
            blank = np.zeros((len(step), *values.shape[1:]), values.dtype)
            blank[np.searchsorted(step, clock.step)] = values
            values = blank
        whole.append(values)
    end = min(int(parameters.starts[parameters.tensor_at(hi - 1) + 1]), int(edges[-1][-1]) + level.block)
    counts = whole[0] if len(whole) == 1 else np.concatenate(whole, axis=1)
    return step, epoch, np.append(np.concatenate(edges), end), counts


def _parts(
    parameters: Parameters, level: _Level, lo: int, hi: int
) -> Iterator[tuple[_Home, tuple[int, int], np.ndarray]]:
    """(home, blocks to read, their first parameters (block,)) of each dataset that has some of lo..hi."""
    for home in level.homes:
        starts = parameters.starts[home.first : home.last + 1]
        if starts[-1] <= lo or starts[0] >= hi or starts[0] == starts[-1]:
            continue
        firsts = _firsts(starts, level.block)
        a = max(int(np.searchsorted(firsts, lo, side="right")) - 1, 0)
        b = int(np.searchsorted(firsts, hi, side="left"))
        yield home, (a, b), firsts[a:b]


def _firsts(starts: np.ndarray, block: int) -> np.ndarray:
    """The first parameter of each block of the tensors between `starts`."""
    blocks = -(-np.diff(starts) // block)
    before = np.repeat(np.cumsum(blocks) - blocks, blocks)
    return np.repeat(starts[:-1], blocks) + block * (np.arange(len(before)) - before)


def _cells(parameters: Parameters, block: int, edges: np.ndarray, together: int) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks begin a cell when `together` neighbours of a tensor are one, and the edges of the cells."""
    first = edges[:-1]
    tensor = np.searchsorted(parameters.starts, first, side="right") - 1
    within = (first - np.maximum(parameters.starts[tensor], edges[0])) // block
    begins = np.flatnonzero(within % together == 0)
    return begins, np.append(first[begins], edges[-1])


def _updated(
    run: RunView, parameters: Parameters, step: np.ndarray, edges: np.ndarray, counts: np.ndarray, window: Window
) -> np.ndarray:  # fmt: skip
    """(row, cell, 4) counts of bits: without what fills up a tensor's last byte, and 0 where it was not updated."""
    counts = counts.astype(np.int64)
    counts[:, :, FAR] -= counts.sum(axis=2) - np.diff(edges)
    counts[~known(run, parameters, step, edges[:-1], window)] = 0
    return counts


def known(
    run: RunView, parameters: Parameters, step: np.ndarray, places: np.ndarray, window: Window
) -> np.ndarray:  # fmt: skip
    """(row, place): whether the tensor at that parameter was updated: else the larger blocks count nothing there."""
    larger = _levels(run, parameters)[1:]
    if not larger or not len(places):
        return np.ones((len(step), len(places)), bool)
    there, _, edges, counts = _read(run, parameters, larger[-1], int(places[0]), int(places[-1]) + 1, window)
    found = np.zeros((len(step), counts.shape[1]), bool)
    found[np.searchsorted(step, there)] = counts.any(axis=2)
    return found[:, np.clip(np.searchsorted(edges, places, side="right") - 1, 0, counts.shape[1] - 1)]


def _one_by_one(run: RunView, parameters: Parameters, lo: int, hi: int, window: Window) -> Stretch:
    pieces = []
    for home, part, firsts in _parts(parameters, _bits(run, parameters), lo, hi):
        clock, bytes = run.rows(BITS, home.item, window, part=part)
        a = max(lo, int(parameters.starts[home.first])) - int(firsts[0])
        b = min(hi, int(parameters.starts[home.last])) - int(firsts[0])
        pieces.append((clock, unpacked(bytes.reshape(len(clock), part[1] - part[0]))[:, a:b].astype(float)))
    step, first = np.unique(np.concatenate([clock.step for clock, _ in pieces]), return_index=True)
    epoch = np.concatenate([clock.epoch for clock, _ in pieces])[first]
    codes = np.full((len(step), hi - lo), np.nan)
    at = 0
    for clock, found in pieces:
        codes[np.searchsorted(step, clock.step), at : at + found.shape[1]] = found
        at += found.shape[1]
    places = np.arange(lo, hi)
    codes[~known(run, parameters, step, places, window)] = np.nan
    counts = np.stack([codes == code for code in range(4)], axis=2).astype(np.int64)
    return Stretch(step, epoch, np.arange(lo, hi + 1), counts, codes)
