"""Which parameters have almost no gradient, on which side of zero, and which are dead? Every one of them, in two bits.

    white |g| > tau        red -tau <= g < 0        green 0 < g <= tau        black g = 0 exactly

Beside the cells stand counts of the four in blocks of neighbouring parameters, of 256 in a large network and about
4,000 over any: what a wide view needs, without reading every cell (`charting.sign_levels`). A tensor that was not
updated has no counts. With `epoch_ends` a row is that of the last recorded step of an epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recorder.analysis.signs import counted, mapped
from recorder.charting import sign_changes
from recorder.charting import sign_map as drawn
from recorder.charting.sign_levels import COARSE, FINE
from recorder.errors import RecordError
from recorder.reading import Facts, Need, Quantity, Reading, Statistic, TensorFacts
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, Drawer

BLOCKS = 4096
SMALLEST = 32  # parameters of a block
SMALL = 256  # of the smaller blocks of a large network
LARGE = 4 * SMALL  # of the larger ones, from which on there are smaller ones


@dataclass(frozen=True)
class _Group:
    """Tensors that came together: they share one dataset of blocks, named after the first of them."""

    tensors: tuple[TensorFacts, ...]

    @property
    def name(self) -> str:
        return self.tensors[0].name

    def blocks(self, size: int) -> int:
        """How many there are: each tensor begins one of its own."""
        return sum(-(-t.size // size) for t in self.tensors)


class SignMap:
    """The sign of each parameter's gradient where it is near zero; `SignMap(tau=1e-5)`."""

    name = "sign_map"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.RAW})
    chart: ClassVar[Drawer] = staticmethod(drawn.chart)
    derived: ClassVar[Derived] = {
        "sign_map": {
            "sign_map_zoom": drawn.zoomed, "sign_map_shares": drawn.shares, "sign_map_changes": sign_changes.chart,
        },
    }  # fmt: skip
    inner: ClassVar[frozenset[str]] = frozenset({COARSE, FINE, "sign_map_counts"})  # read to draw it, no charts

    def __init__(self, *, tau: float = 1e-5) -> None:
        if not 0 <= tau < np.inf:
            raise RecordError(f"SignMap(tau={tau}): expected 0 <= tau")
        self._tau = tau
        self._groups: tuple[_Group, ...] = ()
        self._blocks: dict[str, int] = {}  # series -> parameters of its blocks

    def raw(self, facts: Facts) -> frozenset[tuple[Quantity, str]]:
        """What the adapter has to copy."""
        return frozenset(("gradient", t.name) for t in facts.tensors if t.size)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = tuple(t for t in facts.tensors if t.size)  # of the others there is nothing to say
        self._meet(tensors)
        return (
            Series("sign_map", Kind.SIGN_MAP, "1", f"Gradient of each parameter: near zero is |g| <= {self._tau:g}.",
                   tuple(t.name for t in tensors), dims=("byte",), dtype="uint8", item_dim="tensor",
                   ragged=tuple((-(-t.size // 4),) for t in tensors)),
            *(Series(name, Kind.SIGN_MAP, "count", f"Parameters of each colour, in blocks of {size}.",
                     tuple(g.name for g in self._groups), dims=("block", "colour"),
                     dtype="uint16" if size <= SMALL else "uint32", item_dim="first tensor",
                     ragged=tuple((g.blocks(size), 4) for g in self._groups))
              for name, size in self._blocks.items()),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> sign_map {tensor: (byte,)} of those that were updated, and counts {first tensor: (block, 4)} of all"""
        mine = (t.name for group in self._groups for t in group.tensors)
        found = ((name, reading.raw.get(("gradient", name))) for name in mine)
        cells = {name: mapped(gradient, self._tau) for name, gradient in found if gradient is not None}
        return {
            "sign_map": cells,
            **{
                name: {g.name: _counts(g, cells, size) for g in self._groups if not cells.keys().isdisjoint(
                    t.name for t in g.tensors)}
                for name, size in self._blocks.items()
            },
        }  # fmt: skip

    def _meet(self, tensors: tuple[TensorFacts, ...]) -> None:
        """Take in the tensors, or those that came since the last look; blocks stay as large as they were."""
        known = tuple(t for group in self._groups for t in group.tensors)
        if not known or tensors[: len(known)] != known:
            known, self._groups = (), ()
            block = block_of(sum(t.size for t in tensors))
            self._blocks = {COARSE: block} | ({FINE: SMALL} if block >= LARGE else {})
            for dtype in ("float32", "float64"):
                mapped(np.zeros(1, dtype), self._tau)  # compiled before a step waits for it
        if len(tensors) > len(known):
            self._groups += (_Group(tensors[len(known) :]),)


def block_of(parameters: int) -> int:
    """How many neighbours are counted together: a power of two, so that there are about BLOCKS."""
    return max(SMALLEST, 1 << max(0, (parameters - 1).bit_length() - BLOCKS.bit_length() + 1))


def _counts(group: _Group, cells: Mapping[str, np.ndarray], block: int) -> np.ndarray:
    """-> (block, 4) uint32 of a group's tensors, one behind the other; 0 of those that were not updated"""
    found = [
        counted(cells[t.name], t.size, block) if t.name in cells else np.zeros((-(-t.size // block), 4), np.uint32)
        for t in group.tensors
    ]
    return np.concatenate(found)
