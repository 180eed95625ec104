"""What is a pair of layers called, and which layers do the items of a series of pairs name?

The pairs (i, j) with i <= j of n layers in model order stand row by row: (0, 0), (0, 1), ... (0, n-1), (1, 1), ...
The pair is the item "a | b"; a layer's own name is therefore the first half of its pair with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np

BETWEEN = " | "


def pair_name(a: str, b: str) -> str:
    """The item of the layers a and b, a being the earlier one, or b itself."""
    return f"{a}{BETWEEN}{b}"


def pairs_of(layers: Sequence[str]) -> tuple[str, ...]:
    """The items of all pairs of layers, n (n + 1) / 2 of them."""
    return tuple(pair_name(a, b) for k, a in enumerate(layers) for b in layers[k:])


def layers_of(items: Sequence[str]) -> tuple[str, ...]:
    """The layers whose pairs these items are; () where they are not all pairs of some layers, in that order."""
    n = (isqrt(8 * len(items) + 1) - 1) // 2
    if n * (n + 1) // 2 != len(items):
        return ()
    own = [items[k * n - k * (k - 1) // 2] for k in range(n)]
    layers = tuple(item[: (len(item) - len(BETWEEN)) // 2] for item in own)
    return layers if pairs_of(layers) == tuple(items) else ()


def square(values: np.ndarray) -> np.ndarray:
    """The symmetric matrix (..., layer, layer) of numbers (..., pair) in that order."""
    pairs = values.shape[-1]
    n = (isqrt(8 * pairs + 1) - 1) // 2
    if n * (n + 1) // 2 != pairs:
        raise ValueError(f"pairs of layers: expected n (n + 1) / 2 values, got {pairs}")
    rows, columns = np.triu_indices(n)
    matrix = np.empty((*values.shape[:-1], n, n), values.dtype)
    matrix[..., rows, columns] = values
    matrix[..., columns, rows] = values
    return matrix
