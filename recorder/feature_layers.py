"""What are the features of a layer, and which layers does an instrument look at?

A vector layer has a feature a unit. A layer of positions (a convolution, a sequence) has its units' means over all
positions, or with `spatial="flatten"` every unit at every position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from re import sub
from typing import Literal, get_args

import numpy as np

from recorder.errors import RecordError
from recorder.probe import LayerFacts
from recorder.reading import Facts, Reading

Spatial = Literal["mean", "flatten"]
Wanted = str | type | Sequence[str | type] | None


class FeatureLayers:
    """The layers that one instrument looks at, and their features.

    `layers` are names, globs over names, or classes (as such or by name). None: all, where there are at most `most`;
    else those with weights, and of those `most`, evenly spread from the first to the last. With `weighted` those with
    weights from the start. `units`: so few that they have no more features in total. Of layers that come during the
    training those are looked at that the same rule picks, in the room that is left, but at least the last one.
    """

    def __init__(
        self, layers: Wanted = None, spatial: Spatial = "mean", *, most: float = np.inf, weighted: bool = False,
        units: float = np.inf,
    ) -> None:  # fmt: skip
        if spatial not in get_args(Spatial):
            raise RecordError(f"spatial={spatial!r}: choose from {', '.join(get_args(Spatial))}")
        self._wanted = (layers,) if isinstance(layers, str | type) else layers
        self._spatial = spatial
        self._most, self._weighted, self._units = most, weighted, units
        self._known: tuple[str, ...] = ()  # all there were
        self._sizes: dict[str, int] = {}
        self.which = ""  # of how many, as a part of a sentence; "" where it is all of them

    def meet(self, facts: Facts) -> dict[str, int]:
        """-> {layer: its features}, those that came since the last look at the end."""
        names = tuple(layer.name for layer in facts.layers)
        if not self._known or names[: len(self._known)] != self._known:
            self._known, self._sizes = (), {}
        fresh = facts.layers[len(self._known) :]
        sizes = {layer.name: self._size(layer) for layer in fresh}
        if self._wanted is not None:
            picked = [layer.name for layer in fresh if any(_is(layer, one) for one in self._wanted)]
            if not self._known:
                self._refuse_unmatched(facts)
        else:
            picked = self._by_default(sizes, facts)
        if not self._known:
            self.which = f" of {len(picked)} of {len(names)} layers" if len(picked) < len(names) else ""
        self._known = names
        self._sizes |= {name: sizes[name] for name in picked}
        return dict(self._sizes)

    def features(self, reading: Reading) -> dict[str, np.ndarray]:
        """{layer: (sample, feature) float32} of those that took part in the forward pass; made once for everybody."""
        return {name: self._made(reading, name) for name in self._sizes if name in reading.activations}

    def _made(self, reading: Reading, layer: str) -> np.ndarray:
        activations = reading.activations[layer]
        key = "features", id(activations), self._spatial  # by identity, since every probe has such a layer
        if key not in reading.shared:
            reading.shared[key] = activations, features(activations, self._spatial)  # both, so that the id stays
        return reading.shared[key][1]

    @property
    def positions(self) -> str:
        """How positions became features, as a part of a sentence."""
        return "each position a feature" if self._spatial == "flatten" else "positions averaged"

    def _size(self, layer: LayerFacts) -> int:
        return prod(layer.shape) if self._spatial == "flatten" else layer.units

    def _by_default(self, sizes: Mapping[str, int], facts: Facts) -> list[str]:
        most, units = self._most - len(self._sizes), self._units - sum(self._sizes.values())
        if not sizes:
            return []
        if self._weighted or len(sizes) > most or sum(sizes.values()) > units:
            weighted = with_weights(facts)
            sizes = {name: size for name, size in sizes.items() if name in weighted} or sizes
        names = list(sizes)
        for count in range(int(min(len(names), max(most, 1))), 0, -1):
            picked = [names[k] for k in spread(len(names), count)]
            if sum(sizes[name] for name in picked) <= units:
                break
        return picked

    def _refuse_unmatched(self, facts: Facts) -> None:
        for one in self._wanted or ():
            if not any(_is(layer, one) for layer in facts.layers):
                names = ", ".join(layer.name for layer in facts.layers)
                raise RecordError(f"layers: nothing matches {one!r}; there are {names}")


def features(activations: np.ndarray, spatial: Spatial = "mean") -> np.ndarray:
    """(sample, unit, ...) -> (sample, feature) float32."""
    x = activations.reshape(len(activations), activations.shape[1] if activations.ndim > 1 else 1, -1)
    if spatial == "flatten" or x.shape[2] == 1:
        return np.asarray(x.reshape(len(x), x.shape[1] * x.shape[2]), np.float32)
    return np.asarray(x.mean(axis=2), np.float32)


def with_weights(facts: Facts) -> frozenset[str]:
    """The layers that have a matrix of weights: no normalisation, no activation function."""
    owners = {t.layer for t in facts.tensors if len(t.shape) > 1}
    return frozenset(layer.name for layer in facts.layers if sub(r"( \(.*\))?(:\d+)?$", "", layer.name) in owners)


def spread(count: int, most: int) -> list[int]:
    """At most so many of 0 ... count - 1: first, last and evenly between; a single one is the last."""
    if most >= count:
        return list(range(count))
    return np.linspace(count - 1, 0, most).round().astype(int)[::-1].tolist()


def _is(layer: LayerFacts, wanted: str | type) -> bool:
    if isinstance(wanted, type):
        return layer.kind == wanted.__name__
    return layer.name == wanted or layer.kind == wanted or fnmatchcase(layer.name, wanted)
