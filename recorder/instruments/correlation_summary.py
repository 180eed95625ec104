"""How strongly do layers correlate, in a few numbers for each pair of layers, over the training?

    r[a, b]: Pearson's r of unit a of one layer and unit b of the other, over the samples of the probe

The mean of r (of a layer with itself over the whole matrix, r[a, a] = 1 included); and of |r|, of a layer with itself
without its diagonal, the mean, the root mean square, the largest and the 95 % quantile; over all units that vary. A
signed mean cancels where there are many units, so the mean of |r| is the one to look at: that of independent units is
sqrt(2 / (pi (N - 1))) on N samples, not 0.

All layers are looked at where they have at most 8,192 units in total, else those with weights; `layers=` names others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from recorder.analysis.correlation import noise_floor, pairs
from recorder.analysis.correlation_summary import correlation_summary
from recorder.analysis.layer_pairs import pair_name, pairs_of
from recorder.charting import correlation_means
from recorder.charting.layer_matrix import LayerMatrix
from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, Drawer

LAYERS = 64
UNITS = 8192
DOCS = {
    "mean": "Mean of Pearson's r over the pairs of units of two layers",
    "mean_abs": "Mean of |r| over the pairs of units of two layers",
    "rms": "Root mean square of r over the pairs of units of two layers",
    "max_abs": "Largest |r| over the pairs of units of two layers",
    "q95": "95 % quantile of |r| over the pairs of units of two layers",
}


class CorrelationSummary:
    """Mean r, mean |r|, rms r, largest |r| and 95 % quantile of |r| of every two layers, and their dead units."""

    name = "correlation_summary"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})
    chart: ClassVar[Drawer] = LayerMatrix(floors={"correlation_mean_abs": noise_floor})
    derived: ClassVar[Derived] = {"correlation_mean": {"corr_means": correlation_means.chart}}

    def __init__(self, layers: Wanted = None, *, spatial: Spatial = "mean", probe: str = "") -> None:
        self.probe = probe
        self._layers = FeatureLayers(layers, spatial, most=LAYERS, units=UNITS)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        layers = tuple(self._layers.meet(facts))
        how = f"{self._layers.how}."
        return (
            *(Series(f"correlation_{name}", Kind.PER_ITEM, "1", doc + how, pairs_of(layers), item_dim="pair")
              for name, doc in DOCS.items()),
            Series("correlation_dead_units", Kind.PER_ITEM, "count", "Units that are the same on every probe sample.",
                   layers, dtype="uint32", item_dim="layer"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, Any]]:
        """-> correlation_mean, ... {pair: number}, correlation_dead_units {layer: count}"""
        seen = self._layers.features(reading)
        if not seen:
            return {**{f"correlation_{name}": {} for name in DOCS}, "correlation_dead_units": {}}
        found, names = correlation_summary(list(seen.values())), list(seen)
        items = [pair_name(names[i], names[j]) for i, j in pairs(len(names))]
        return {
            **{f"correlation_{name}": dict(zip(items, getattr(found, name), strict=True)) for name in DOCS},
            "correlation_dead_units": dict(zip(names, found.dead, strict=True)),
        }
