"""What exactly do some layers answer to the probe batch? Opt-in: every number is stored.

`RawActivations("layer4*", max_size=200e6)`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from recorder.errors import RecordError
from recorder.reading import Facts, Finished, LayerFacts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class RawActivations:
    """Whole activations (sample, unit, ...), of layers chosen by a glob (or several), until `max_size` is reached."""

    name = "raw_activations"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})

    def __init__(self, layers: str | Sequence[str] = "*", *, max_size: float = 256e6, probe: str = "") -> None:
        self.probe = probe
        self.patterns = (layers,) if isinstance(layers, str) else tuple(layers)
        self.max_size = int(max_size)
        self._layers: tuple[str, ...] = ()
        self._bytes = 0

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        chosen = self._chosen(facts)
        self._layers = tuple(layer.name for layer in chosen)
        return (
            Series("raw_activation", Kind.RAW, "activation", "The layer's activations on the probe batch, every one.",
                   self._layers, item_dim="layer", ragged=tuple((facts.probe_samples, *one.shape) for one in chosen)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> raw_activation {layer: (sample, unit, ...)}"""
        raw = {layer: reading.activations[layer] for layer in self._layers if layer in reading.activations}
        self._bytes += sum(values.nbytes for values in raw.values())
        if self._bytes > self.max_size:
            raise Finished(f"reached its max_size of {self.max_size / 1e6:g} MB")
        return {"raw_activation": raw}

    def _chosen(self, facts: Facts) -> tuple[LayerFacts, ...]:
        found = tuple(layer for layer in facts.layers if any(fnmatchcase(layer.name, p) for p in self.patterns))
        if not found:
            names = ", ".join(layer.name for layer in facts.layers)
            raise RecordError(f"RawActivations: no layer matches {', '.join(self.patterns)}; there are {names}")
        return found
