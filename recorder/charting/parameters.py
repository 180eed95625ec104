"""Which parameter is the k-th of the network, counted in model order, and where do its tensors begin?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

MANY = 24  # tensors in view beyond which their layers are named instead


@dataclass(frozen=True, eq=False)
class Parameters:
    """The tensors of a network in model order; tensor t has the parameters starts[t] up to starts[t + 1]."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    layers: tuple[str, ...]
    starts: np.ndarray  # (tensor + 1,) int64

    @classmethod
    def of(cls, meta: Mapping[str, Any], sizes: Mapping[str, int]) -> Parameters:
        """Those named in `sizes`; shapes and layers as the run's meta has them, else flat and without a layer."""
        known = {t["name"]: t for t in meta.get("tensors", ())}
        shapes = tuple(tuple(known[n]["shape"]) if n in known else (size,) for n, size in sizes.items())
        layers = tuple(str(known.get(n, {}).get("layer", "")) or n for n in sizes)
        return cls(tuple(sizes), shapes, layers, np.cumsum([0, *map(prod, shapes)], dtype=np.int64))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def tensor_at(self, parameter: int) -> int:
        """The position of the tensor that has a parameter."""
        return min(max(int(np.searchsorted(self.starts, parameter, side="right")) - 1, 0), len(self.names) - 1)

    def span(self, tensor: str) -> tuple[int, int]:
        """First parameter of a tensor, and the first behind it."""
        t = self.names.index(tensor)
        return int(self.starts[t]), int(self.starts[t + 1])

    def named(self, parameter: int) -> str:
        """As in conv1.weight[3, 0, 2]."""
        t = self.tensor_at(parameter)
        index = np.unravel_index(parameter - int(self.starts[t]), self.shapes[t]) if self.shapes[t] else ()
        return f"{self.names[t]}[{', '.join(str(int(i)) for i in index)}]"

    def parts(self, lo: int, hi: int) -> tuple[tuple[float, float, str], ...]:
        """(from, to, name) of the tensors within lo..hi, or of their layers where those are many."""
        inside = range(self.tensor_at(lo), self.tensor_at(max(hi - 1, lo)) + 1)
        return tuple(self._parts(inside, self.names if len(inside) <= MANY else self.layers, lo, hi))

    def _parts(
        self, inside: Sequence[int], names: Sequence[str], lo: int, hi: int
    ) -> Iterator[tuple[float, float, str]]:
        for name, group in groupby(inside, key=lambda t: names[t]):
            tensors = list(group)
            first, last = int(self.starts[tensors[0]]), int(self.starts[tensors[-1] + 1])
            if last > first:
                yield float(max(first, lo)), float(min(last, hi)), name
