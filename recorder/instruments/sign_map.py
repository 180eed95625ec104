"""Which parameters have almost no gradient, on which side of zero, and which are dead? Every one of them, in two bits.

    white |g| > tau        red -tau <= g < 0        green 0 < g <= tau        black g = 0 exactly

Beside the cells stand counts of the four in blocks of neighbouring parameters, about 4,000 over a whole network: what a
wide view needs, without reading every cell. A tensor that was not updated has no counts. With `each_epoch` a row is the
first update of an epoch: its gradient is that at the weights with which the epoch before ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from recorder.analysis.signs import MINUS, PLUS, ZERO, codes, packed
from recorder.chart import Chart, Heat, Line, Plate, Rule, Scale, View
from recorder.charting.captions import stretch
from recorder.charting.default_chart import COLUMNS, SIGN_COLOURS, SIGN_NAMES, default_chart
from recorder.errors import RecordError
from recorder.reading import Facts, Need, Quantity, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import At, RunView, Window

BLOCKS = 4096
SMALLEST = 16  # parameters of a block
CELLS = 4096  # the most parameters of a tensor that is drawn cell by cell
NAMED = 6  # tensors beyond this have boundaries without names


class SignMap:
    """The sign of each parameter's gradient where it is near zero; `SignMap(tau=1e-5)`."""

    name = "sign_map"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.RAW})

    def __init__(self, *, tau: float = 1e-5) -> None:
        if not 0 <= tau < np.inf:
            raise RecordError(f"SignMap(tau={tau}): expected 0 <= tau")
        self._tau = tau
        self._block = 0

    def raw(self, facts: Facts) -> frozenset[tuple[Quantity, str]]:
        """What the adapter has to copy."""
        return frozenset(("gradient", t.name) for t in facts.tensors)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        self._block = self._block or block_of(sum(t.size for t in facts.tensors))
        tensors = tuple(t.name for t in facts.tensors)
        return (
            Series("sign_map", Kind.SIGN_MAP, "1", f"Gradient of each parameter: near zero is |g| <= {self._tau:g}.",
                   tensors, dims=("byte",), dtype="uint8", item_dim="tensor",
                   ragged=tuple((-(-t.size // 4),) for t in facts.tensors)),
            Series("sign_map_counts", Kind.RAW, "count", f"Parameters of each colour, in blocks of {self._block}.",
                   tensors, dims=("block", "colour"), dtype="uint32", item_dim="tensor",
                   ragged=tuple((-(-t.size // self._block), 4) for t in facts.tensors)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> sign_map {tensor: (byte,)}, sign_map_counts {tensor: (block, 4)}, of the tensors that were updated"""
        found = {name: codes(g, self._tau) for (what, name), g in reading.raw.items() if what == "gradient"}
        return {
            "sign_map": {name: packed(c) for name, c in found.items()},
            "sign_map_counts": {name: counts(c, self._block) for name, c in found.items()},
        }

    @staticmethod
    def chart(run: RunView, series: str, at: At, window: Window) -> View:
        """The whole network in model order, or one tensor: each of its cells, where they are few."""
        if series != "sign_map" or (at.item is not None and len_of(run, at.item) <= CELLS):
            return default_chart(run, series, at, window)
        return blocks(run, run.series["sign_map_counts"].items if at.item is None else (at.item,), window)


def block_of(parameters: int) -> int:
    """How many neighbours are counted together: a power of two, so that there are about BLOCKS."""
    return max(SMALLEST, 1 << max(0, (parameters - 1).bit_length() - BLOCKS.bit_length() + 1))


def counts(codes: np.ndarray, block: int) -> np.ndarray:
    """-> (block, 4) uint32"""
    place = np.arange(codes.size) // block * 4 + codes
    return np.bincount(place, minlength=-(-codes.size // block) * 4).reshape(-1, 4).astype(np.uint32)


def len_of(run: RunView, tensor: str) -> int:
    """Parameters of a tensor; where the run does not say, cells."""
    sizes = {t["name"]: prod(t["shape"]) for t in run.meta.get("tensors", ())}
    return sizes.get(tensor, 4 * prod(run.series["sign_map"].shape_of(tensor)))


def blocks(run: RunView, tensors: Sequence[str], window: Window) -> View:
    """Blocks in model order along x, rows down, each in the colour of most of it; the shares of the colours below."""
    rows = {t: run.rows("sign_map_counts", t, replace(window, points=min(window.points, COLUMNS))) for t in tensors}
    steps = np.unique(np.concatenate([clock.step for clock, _ in rows.values()]))
    title = f"sign map: {tensors[0] if len(tensors) == 1 else 'all tensors'}"
    if not len(steps):
        return Chart(title, caption="Nothing recorded in this stretch.")
    block = max(int(counts.sum(axis=2).max(initial=1)) for _, counts in rows.values())
    cells, edges, starts = [], [np.zeros(1)], []
    total = np.zeros((len(steps), 4))
    for tensor, (clock, found) in rows.items():
        counts = np.zeros((len(steps), *found.shape[1:]))
        counts[np.searchsorted(steps, clock.step)] = found
        cells.append(np.where(counts.sum(axis=2) > 0, counts.argmax(axis=2), np.nan))
        starts.append(float(edges[-1][-1]))
        edges.append(starts[-1] + np.minimum(block * np.arange(1, found.shape[1] + 1), len_of(run, tensor)))
        total += counts.sum(axis=1)
    heat = Heat(
        np.concatenate(cells, axis=1), np.concatenate(edges).astype(float), np.arange(len(steps) + 1) - 0.5,
        categories=SIGN_NAMES, category_colours=SIGN_COLOURS,
    )  # fmt: skip
    named = len(tensors) <= NAMED
    rules = tuple(Rule(x, label=t if named else "") for t, x in zip(tensors, starts, strict=True) if x)
    what = f"{int(heat.x[-1]):,} parameters in model order" if heat.x is not None else ""
    caption = f"{run.series['sign_map'].doc} Blocks of {block:,} in the colour of most of it; {what}, {stretch(steps)}."
    names = tuple(f"{int(s):,}" for s in steps)
    above = Chart(title, Scale("parameter"), Scale("step", names=names, reverse=True), (heat, *rules), caption)
    share = total / np.maximum(total.sum(axis=1, keepdims=True), 1)
    lines = tuple(Line(steps.astype(float), share[:, k], SIGN_NAMES[k], colour=k) for k in (MINUS, PLUS, ZERO))
    below = Chart("shares", Scale("step"), Scale("share of the parameters"), lines, "Below: the shares of the others.")
    return Plate(((above,), (below,)), title, f"{caption} {below.caption}", heights=(3.0, 2.0))
