"""Which layers does an instrument look at, and what are their features in this reading?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from re import sub
from typing import get_args

import numpy as np

from recorder.analysis.features import Spatial as Spatial
from recorder.analysis.features import features
from recorder.errors import RecordError
from recorder.reading import Facts, LayerFacts, Reading

Wanted = str | type | Sequence[str | type] | None


class FeatureLayers:
    """The layers that one instrument looks at, and their features (sample, unit); see `recorder.analysis.features`.

    `layers` are names, globs over names, or classes, as such or by name: exactly these, none that is derived from them.
    None: all, where there are at most `most`; else those with weights, and of those `most`, evenly spread from the
    first to the last. With `weighted` those with weights from the start. `units`: so few that they have no more units
    in total. Of layers that come during the training those are looked at that the same rule picks, in the room that is
    left, but at least the last one.
    """

    def __init__(
        self, layers: Wanted = None, spatial: Spatial = "mean", *, most: float = np.inf, weighted: bool = False,
        units: float = np.inf,
    ) -> None:  # fmt: skip
        if spatial not in get_args(Spatial):
            raise RecordError(f"spatial={spatial!r}: choose from {', '.join(get_args(Spatial))}")
        self._wanted = (layers,) if isinstance(layers, str | type) else layers
        self._spatial: Spatial = spatial
        self._most, self._weighted, self._units = most, weighted, units
        self._known: tuple[str, ...] = ()  # all there were
        self._sizes: dict[str, int] = {}
        self.how = ""  # the end of a sentence: which layers, unless it is all of them, and what became of positions

    def meet(self, facts: Facts) -> dict[str, int]:
        """-> {layer: its units}, those that came since the last look at the end."""
        names = tuple(layer.name for layer in facts.layers)
        if not self._known or names[: len(self._known)] != self._known:
            self._known, self._sizes = (), {}
        fresh = facts.layers[len(self._known) :]
        sizes = {layer.name: self._units_of(layer) for layer in fresh}
        if self._wanted is not None:
            picked = [layer.name for layer in fresh if any(_is(layer, one) for one in self._wanted)]
        else:
            picked = self._by_default(sizes, facts)
        if not self._known:
            self._refuse_unmatched(facts)
            self.how = self._how(facts, picked)
        self._known = names
        self._sizes |= {name: sizes[name] for name in picked}
        return dict(self._sizes)

    def features(self, reading: Reading) -> dict[str, np.ndarray]:
        """{layer: (sample, unit)} of those that took part in the forward pass; made once for all instruments."""
        return {name: self._made(reading, name) for name in self._sizes if name in reading.activations}

    def _made(self, reading: Reading, layer: str) -> np.ndarray:
        activations = reading.activations[layer]
        key = "features", id(activations), self._spatial  # by identity, since every probe has such a layer
        if key not in reading.shared:
            reading.shared[key] = activations, features(activations, self._spatial)  # both, so that the id stays
        return reading.shared[key][1]

    def _how(self, facts: Facts, picked: Sequence[str]) -> str:
        which = f" of {len(picked)} of {len(facts.layers)} layers" if len(picked) < len(facts.layers) else ""
        if not any(len(layer.shape) > 1 for layer in facts.layers if layer.name in picked):
            return which
        return f"{which}, each position a unit" if self._spatial == "flatten" else f"{which}, positions averaged"

    def _units_of(self, layer: LayerFacts) -> int:
        return prod(layer.shape) if self._spatial == "flatten" else layer.units

    def _by_default(self, sizes: Mapping[str, int], facts: Facts) -> list[str]:
        if not sizes:
            return []
        most, units = self._most - len(self._sizes), self._units - sum(self._sizes.values())
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
