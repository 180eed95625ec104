"""What is a pair of layers called, and which layers do the items of a series of pairs name?

The pair of a and b, a at or before b in model order, is the item "a | b"; so a layer's own name is the first half of
its pair with itself. Pairs come by their second layer: (0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2), ... Thus the
pairs of a layer that comes during the training follow all that are there, as items of a series must.
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
    return tuple(pair_name(a, b) for k, b in enumerate(layers) for a in layers[: k + 1])


def layers_of(items: Sequence[str]) -> tuple[str, ...]:
    """The layers whose pairs these items are, in order; () where one of the items is no pair of them.

    Not all of their pairs need be there: two heads that were never there together have none.
    """
    own = ((item[: (len(item) - len(BETWEEN)) // 2], item) for item in items)
    layers = tuple(name for name, item in own if item == pair_name(name, name))
    return layers if set(items) <= set(pairs_of(layers)) else ()


def halves(items: Sequence[str]) -> dict[str, tuple[str, str]]:
    """{item: (earlier layer, later layer)} of pairs of layers; {} of anything else."""
    layers, known = layers_of(items), set(items)
    named = {pair_name(a, b): (a, b) for k, b in enumerate(layers) for a in layers[: k + 1]}
    return {item: both for item, both in named.items() if item in known}


def square(values: np.ndarray, items: Sequence[str] | None = None) -> np.ndarray:
    """The symmetric matrix (..., layer, layer) of numbers (..., pair); NaN where the items lack a pair.

    Without items the values are those of all pairs, in order.
    """
    pairs = values.shape[-1]
    layers = None if items is None else layers_of(items)
    n = (isqrt(8 * pairs + 1) - 1) // 2 if layers is None else len(layers)
    if layers is None and n * (n + 1) // 2 != pairs:
        raise ValueError(f"pairs of layers: expected n (n + 1) / 2 values, got {pairs}")
    later, earlier = np.tril_indices(n)
    if layers is not None and items is not None and tuple(items) != (named := pairs_of(layers)):
        place = {name: k for k, name in enumerate(named)}
        there = [place[item] for item in items]
        later, earlier = later[there], earlier[there]
    missing = np.nan if values.dtype.kind == "f" else 0
    matrix = np.full((*values.shape[:-1], n, n), missing, values.dtype)
    matrix[..., earlier, later] = values
    matrix[..., later, earlier] = values
    return matrix
