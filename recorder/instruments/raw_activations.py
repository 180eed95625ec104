"""What exactly do some layers answer to the probe batch? Opt-in: every number is stored.

`RawActivations("layer4*", max_size=200e6)`
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.feature_layers import FeatureLayers, Wanted
from recorder.reading import Facts, Finished, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class RawActivations:
    """Whole activations (sample, unit, ...) of all layers, or of those that `layers` names as names, globs or classes.

    It ends where `max_size` is reached.
    """

    name = "raw_activations"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})

    def __init__(self, layers: Wanted = None, *, max_size: float = 256e6, probe: str = "") -> None:
        self.probe = probe
        self.max_size = int(max_size)
        self._layers = FeatureLayers(layers)
        self._names: tuple[str, ...] = ()
        self._bytes = 0

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        self._names = tuple(self._layers.meet(facts))
        shapes = {layer.name: (facts.probe_samples, *layer.shape) for layer in facts.layers}
        return (
            Series("raw_activation", Kind.RAW, "activation", "The layer's activations on the probe batch, every one.",
                   self._names, item_dim="layer", ragged=tuple(shapes[name] for name in self._names)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> raw_activation {layer: (sample, unit, ...)}"""
        raw = {layer: reading.activations[layer] for layer in self._names if layer in reading.activations}
        self._bytes += sum(values.nbytes for values in raw.values())
        if self._bytes > self.max_size:
            raise Finished(f"reached its max_size of {self.max_size / 1e6:g} MB")
        return {"raw_activation": raw}
