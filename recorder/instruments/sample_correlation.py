"""Which samples look alike to a layer?

    r[m, n] = cov(x_m, x_n) / (std(x_m) std(x_n))          unit: 1; over the layer's features

x_m are the features of sample m of the probe; what is drawn beside it, 1 - r, is the dissimilarity of representational
similarity analysis. A sample whose features are all equal has no r: NaN. The first 100 samples are looked at.

All layers are looked at where there are at most 32, else those with weights; `layers=` names others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.analysis.correlation import defined, sample_correlation
from recorder.charting import sample_correlation as drawn
from recorder.errors import RecordError
from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, Drawer

SAMPLES = 100
LAYERS = 32


class SampleCorrelation:
    """Pearson's r of every two samples, layer by layer; `SampleCorrelation(["fc*"], samples=200)`."""

    name = "sample_correlation"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})
    chart: ClassVar[Drawer] = staticmethod(drawn.chart)
    derived: ClassVar[Derived] = {"sample_correlation": {"sample_dissimilarity": drawn.dissimilarity}}

    def __init__(
        self, layers: Wanted = None, *, samples: int = SAMPLES, spatial: Spatial = "mean", probe: str = ""
    ) -> None:
        if samples < 1:
            raise RecordError(f"SampleCorrelation(samples={samples}): expected at least 1")
        self.probe = probe
        self._most = samples
        self._layers = FeatureLayers(layers, spatial, most=LAYERS)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        layers = tuple(self._layers.meet(facts))
        n = min(self._most, facts.probe_samples)
        doc = f"Pearson's r of the features of every two samples{self._layers.how}."
        return (
            Series("sample_correlation", Kind.MATRIX, "1", doc, layers, (n, n), ("sample", "other_sample"),
                   item_dim="layer"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> sample_correlation {layer: (sample, other sample)}"""
        seen = self._layers.features(reading)
        return {"sample_correlation": {name: defined(sample_correlation(x[: self._most])) for name, x in seen.items()}}
