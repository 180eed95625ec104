"""How alike are the representations of two layers, and of one layer at two steps?

Linear centred kernel alignment of their features over the probe, debiased: independent features read 0 whatever their
width, and an orthogonal transform or a scale changes nothing. NaN with fewer than 4 samples, and of a layer that is
constant. (`recorder.analysis.cka`; Nguyen, Raghu, Kornblith 2021)

The first 128 samples are looked at, of all layers where there are at most 32, else of those with weights; `layers=`
names others. `cka_gram` keeps each layer's Gram matrix, so that any step can be compared with any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from recorder.analysis.cka import cka, unit_gram
from recorder.analysis.layer_pairs import pair_name, pairs_of
from recorder.charting.cka_maps import CkaMap
from recorder.charting.layer_matrix import LayerMatrix
from recorder.errors import RecordError
from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, Drawer

SAMPLES = 128
LAYERS = 32


class Cka:
    """Debiased linear CKA of every two layers: `Cka("layer*", samples=256)`."""

    name = "cka"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})
    chart: ClassVar[Drawer] = LayerMatrix(limits=(0.0, 1.0))
    derived: ClassVar[Derived] = {
        "cka_gram": {"cka_to_first": CkaMap("first"), "cka_to_last": CkaMap("last"), "cka_of_steps": CkaMap("steps")}
    }
    inner = frozenset({"cka_gram"})  # read to compare steps, no chart of its own

    def __init__(
        self, layers: Wanted = None, *, samples: int = SAMPLES, spatial: Spatial = "mean", probe: str = ""
    ) -> None:
        if samples < 4:
            raise RecordError(f"Cka(samples={samples}): expected at least 4, of fewer it is not defined")
        self.probe = probe
        self._most = samples
        self._layers = FeatureLayers(layers, spatial, most=LAYERS)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        layers = tuple(self._layers.meet(facts))
        n = min(self._most, facts.probe_samples)
        some = f" on the first {n} samples" if n < facts.probe_samples else ""
        doc = f"Debiased linear CKA of the features of two layers{some}{self._layers.how}."
        grams = "The layer's Gram matrix, U-centred, of length 1: CKA is the sum over the product of two of them."
        return (
            Series("cka", Kind.PER_ITEM, "1", doc, pairs_of(layers), item_dim="pair"),
            Series("cka_gram", Kind.MATRIX, "1", grams, layers, (n, n), ("sample", "other_sample"), item_dim="layer"),
        )

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, Any]]:
        """-> cka {pair: number}, cka_gram {layer: (sample, other sample)}"""
        grams = {name: unit_gram(x[: self._most]) for name, x in self._layers.features(reading).items()}
        names = list(grams)
        alike = cka(list(grams.values())) if grams else np.empty((0, 0))
        pairs = {pair_name(a, b): alike[i, j] for j, b in enumerate(names) for i, a in enumerate(names[: j + 1])}
        return {"cka": pairs, "cka_gram": grams}
