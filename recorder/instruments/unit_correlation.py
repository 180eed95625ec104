"""Which units go together, within a layer and between two?

    r[a, b] = cov(x_a, x_b) / (std(x_a) std(x_b))          unit: 1; over the samples of the probe

x is a unit's activation, of a layer of positions the mean over them (`spatial="flatten"`: each position is a unit of
its own). A unit that does not vary has no r: NaN. Of a layer with more than `units` units those with the largest
variance are kept, chosen where it is first measured; `unit_correlation_units` says which.

At most 8 layers are looked at, those with weights: the first, the last and evenly between. `layers=` names others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.analysis.correlation import cross_correlation
from recorder.analysis.features import kept_units
from recorder.analysis.layer_pairs import halves, pair_name, pairs_of
from recorder.charting import unit_correlation as drawn
from recorder.errors import RecordError
from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, Drawer

LAYERS = 8
UNITS = 256


class UnitCorrelation:
    """Pearson's r of every two units of every two layers: `UnitCorrelation(["fc*", "Conv2d"], units=512)`."""

    name = "unit_correlation"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})
    chart: ClassVar[Drawer] = staticmethod(drawn.chart)
    derived: ClassVar[Derived] = {
        "unit_correlation": {"unit_correlation_clustered": drawn.clustered, "unit_correlation_overview": drawn.overview}
    }
    inner = frozenset({"unit_correlation_units"})  # read to name units, no chart of its own

    def __init__(
        self, layers: Wanted = None, *, units: int = UNITS, spatial: Spatial = "mean", probe: str = ""
    ) -> None:
        if units < 1:
            raise RecordError(f"UnitCorrelation(units={units}): expected at least 1")
        self.probe = probe
        self._most = units
        self._layers = FeatureLayers(layers, spatial, most=LAYERS, weighted=True)
        self._kept: dict[str, np.ndarray] = {}

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        sizes = {name: min(size, self._most) for name, size in self._layers.meet(facts).items()}
        both = halves(pairs_of(tuple(sizes)))
        self._kept = {name: kept for name, kept in self._kept.items() if len(kept) == sizes.get(name)}
        doc = f"Pearson's r of every two units{self._layers.how}."
        return (
            Series("unit_correlation", Kind.MATRIX, "1", doc, tuple(both), dims=("unit", "other_unit"),
                   item_dim="pair", ragged=tuple((sizes[a], sizes[b]) for a, b in both.values())),
            Series("unit_correlation_units", Kind.VECTOR, "1", "Which units of the layer unit_correlation looks at.",
                   tuple(sizes), dims=("unit",), dtype="int32", item_dim="layer",
                   ragged=tuple((size,) for size in sizes.values())),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> unit_correlation {pair: (unit, other unit)}, unit_correlation_units {layer: (unit,)}"""
        seen = self._layers.features(reading)
        for name in seen.keys() - self._kept.keys():
            self._kept[name] = kept_units(seen[name], self._most)
        units = {name: self._kept[name] for name in seen}
        return {"unit_correlation": _of_pairs(seen, units), "unit_correlation_units": units}


def _of_pairs(features: Mapping[str, np.ndarray], units: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{pair: (unit, other unit) float32} of these units of the layers; NaN of those that are not alive."""
    names = list(features)
    if not names:
        return {}
    found = cross_correlation(
        [x if len(units[name]) == x.shape[1] else x[:, units[name]] for name, x in features.items()]
    )
    alive = [found.standardised.alive[columns] for columns in found.standardised.layers]
    matrices = {}
    for i, j, r in found.blocks():
        r[~alive[i]] = np.nan
        r[:, ~alive[j]] = np.nan
        matrices[pair_name(names[i], names[j])] = r
    return matrices
