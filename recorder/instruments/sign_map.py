"""Which parameters have almost no gradient, on which side of zero, and which are dead? Every one of them, in two bits.

    white |g| > tau        red -tau <= g < 0        green 0 < g <= tau        black g = 0 exactly

Beside the cells stand counts of the four in blocks of neighbouring parameters, about 4,000 over a whole network: what a
wide view needs, without reading every cell. A tensor that was not updated has no counts. With `each_epoch` a row is the
first update of an epoch: its gradient is that at the weights with which the epoch before ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from recorder.analysis.signs import codes, packed
from recorder.chart import View
from recorder.charting import sign_map as drawn
from recorder.charting.per_epoch import Derived
from recorder.errors import RecordError
from recorder.reading import Facts, Need, Quantity, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import At, RunView, Window

BLOCKS = 4096
SMALLEST = 16  # parameters of a block


class SignMap:
    """The sign of each parameter's gradient where it is near zero; `SignMap(tau=1e-5)`."""

    name = "sign_map"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.RAW})
    chart: ClassVar[Callable[[RunView, str, At, Window], View]] = staticmethod(drawn.chart)
    derived: ClassVar[Derived] = {"sign_map": {"sign_map_zoom": drawn.zoomed, "sign_map_shares": drawn.shares}}
    inner: ClassVar[frozenset[str]] = frozenset({"sign_map_counts"})  # what is read to draw it, and no chart itself

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


def block_of(parameters: int) -> int:
    """How many neighbours are counted together: a power of two, so that there are about BLOCKS."""
    return max(SMALLEST, 1 << max(0, (parameters - 1).bit_length() - BLOCKS.bit_length() + 1))


def counts(codes: np.ndarray, block: int) -> np.ndarray:
    """-> (block, 4) uint32"""
    place = np.arange(codes.size) // block * 4 + codes
    return np.bincount(place, minlength=-(-codes.size // block) * 4).reshape(-1, 4).astype(np.uint32)
