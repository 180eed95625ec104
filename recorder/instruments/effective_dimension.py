"""How many directions do the features of a layer use?

    d = (tr S)^2 / tr S^2,    S the covariance of the features over the probe          unit: 1

The participation ratio: 1 where all samples lie on a line, the number of features where they vary alike and without
correlation; never more than the samples - 1. NaN where nothing varies.
"""

from __future__ import annotations

from collections.abc import Mapping

from recorder.analysis.effective_dimension import effective_dimension
from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class EffectiveDimension:
    """The participation ratio of each layer's features; `EffectiveDimension(spatial="flatten")`."""

    name = "effective_dimension"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})

    def __init__(self, layers: Wanted = None, *, spatial: Spatial = "mean", probe: str = "") -> None:
        self.probe = probe
        self._layers = FeatureLayers(layers, spatial)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        layers = tuple(self._layers.meet(facts))
        doc = f"Participation ratio of the covariance of the layer's features{self._layers.how}."
        return (Series("effective_dimension", Kind.PER_ITEM, "1", doc, layers, item_dim="layer"),)

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, float]]:
        """-> effective_dimension {layer: number}"""
        seen = self._layers.features(reading)
        return {"effective_dimension": {name: effective_dimension(x) for name, x in seen.items()}}
