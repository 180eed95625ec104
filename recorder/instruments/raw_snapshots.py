"""What exactly are the gradients, weights or updates of some tensors? Opt-in: every number is stored.

`RawSnapshots("layer1.*", quantities=("gradient", "weight"), max_size=200e6)`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import get_args

import numpy as np

from recorder.errors import RecordError
from recorder.reading import Facts, Finished, Need, Quantity, Reading, Statistic, TensorFacts
from recorder.runfile.schema import Kind, Series

DOCS: Mapping[Quantity, str] = {
    "gradient": "The tensor's gradient, every entry.",
    "weight": "The tensor, every entry.",
    "update": "The tensor's change since the step before, every entry.",
}
UNITS: Mapping[Quantity, str] = {"gradient": "loss / weight", "weight": "weight", "update": "weight"}


class RawSnapshots:
    """Whole tensors, chosen by a glob over their names (or several), until `max_size` bytes are recorded."""

    name = "raw_snapshots"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.RAW})

    def __init__(
        self,
        tensors: str | Sequence[str] = "*",
        *,
        quantities: Sequence[Quantity] = ("gradient",),
        max_size: float = 256e6,
    ) -> None:
        wrong = [q for q in quantities if q not in get_args(Quantity)]
        if wrong or not quantities:
            raise RecordError(f"RawSnapshots(quantities={quantities!r}): choose from {', '.join(get_args(Quantity))}")
        self.patterns = (tensors,) if isinstance(tensors, str) else tuple(tensors)
        self.quantities = tuple(quantities)
        self.max_size = int(max_size)
        self._bytes = 0

    def chosen(self, facts: Facts) -> tuple[TensorFacts, ...]:
        """The tensors whose names match; RecordError says which there are when none does."""
        tensors = (t for t in facts.tensors if t.size)  # of the others there is nothing to store
        found = tuple(t for t in tensors if any(fnmatchcase(t.name, p) for p in self.patterns))
        if not found:
            names = ", ".join(t.name for t in facts.tensors)
            raise RecordError(f"RawSnapshots: no tensor matches {', '.join(self.patterns)}; there are {names}")
        return found

    def raw(self, facts: Facts) -> frozenset[tuple[Quantity, str]]:
        """What the adapter has to copy."""
        return frozenset((q, t.name) for q in self.quantities for t in self.chosen(facts))

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        chosen = self.chosen(facts)
        dtype = "float64" if any(t.dtype in ("float64", "complex128") for t in chosen) else "float32"
        return tuple(
            Series(f"raw_{q}", Kind.RAW, UNITS[q], DOCS[q], tuple(t.name for t in chosen), dtype=dtype,
                   item_dim="tensor", ragged=tuple(t.shape for t in chosen))
            for q in self.quantities
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> raw_<quantity> {tensor: its entries}; a tensor without an update in this step is left out."""
        raw: dict[str, dict[str, np.ndarray]] = {f"raw_{q}": {} for q in self.quantities}
        for (quantity, tensor), values in reading.raw.items():
            if quantity in self.quantities and any(fnmatchcase(tensor, p) for p in self.patterns):
                raw[f"raw_{quantity}"][tensor] = values
        size = sum(values.nbytes for tensors in raw.values() for values in tensors.values())
        if self._bytes + size > self.max_size:
            raise Finished(f"reached its max_size of {self.max_size / 1e6:g} MB")
        self._bytes += size
        return raw
