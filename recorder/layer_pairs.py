"""Which pairs of layers are there, and how is a pair called?

"a | b" is one item of a series over pairs, a at or before b in the order of the layers. Pairs come by their second
layer, "a | a", "a | b", "b | b", "a | c", ...: so the pairs of a layer that comes during the training follow those that
are there, as the items of every series do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

SEPARATOR = " | "


def pair(first: str, second: str) -> str:
    """The item of two layers, the earlier one first."""
    return f"{first}{SEPARATOR}{second}"


def pairs(layers: Sequence[str]) -> tuple[str, ...]:
    """Every pair, each layer with itself too: L layers have L (L + 1) / 2."""
    return tuple(pair(first, second) for k, second in enumerate(layers) for first in layers[: k + 1])


def layers_of(items: Iterable[str]) -> tuple[str, ...]:
    """The layers, in order, of a series over their pairs; none where its items are no pairs."""
    halves = ((item[: len(item) // 2 - 1], item) for item in items)
    return tuple(half for half, item in halves if half and item == pair(half, half))


def halves(items: Sequence[str]) -> dict[str, tuple[str, str]]:
    """{item: (first layer, second layer)} of those that are pairs."""
    layers = layers_of(items)
    known = set(items)
    named = {pair(a, b): (a, b) for k, b in enumerate(layers) for a in layers[: k + 1]}
    return {item: both for item, both in named.items() if item in known}


def square(items: Sequence[str], values: np.ndarray) -> np.ndarray:
    """(pair,) -> (layer, layer), the same on both sides of the diagonal; NaN where there is no such pair."""
    layers = {name: k for k, name in enumerate(layers_of(items))}
    of = dict(zip(items, values, strict=True))
    found = np.full((len(layers), len(layers)), np.nan)
    for item, (first, second) in halves(items).items():
        a, b = layers[first], layers[second]
        found[a, b] = found[b, a] = of[item]
    return found
