"""What are the features of each layer and the model's predictions, to compare runs later without their models?

Opt-in. Features (sample, unit) are kept in float16, predictions in float32; of a layer of positions the mean over them
(`spatial="flatten"`: all of them). The probe's digest stands in the run's `probes`: runs with equal ones were asked the
same. `ProbeActivations("layer4*", max_size=200e6)`
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.reading import Facts, Finished, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series

LARGEST = float(np.finfo(np.float16).max)


class ProbeActivations:
    """Features of layers and predictions on the probe, until `max_size` bytes are recorded."""

    name = "probe_activations"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})

    def __init__(
        self, layers: Wanted = None, *, spatial: Spatial = "mean", probe: str = "", max_size: float = 256e6
    ) -> None:
        self.probe = probe
        self.max_size = int(max_size)
        self._layers = FeatureLayers(layers, spatial)
        self._predictions: dict[str, tuple[int, ...]] = {}  # whose -> their shape, as it was first
        self._bytes = 0

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        sizes = self._layers.meet(facts)
        name, n = self.probe or facts.default_probe, facts.probe_samples
        if name in facts.probes:
            outputs = facts.probes[name].outputs
            shapes = {"/".join(filter(None, (name, model))): shape for model, shape in outputs.items()}
            self._predictions = shapes | self._predictions
        features = f"The layer's features on the probe{self._layers.how}; beyond {LARGEST:,.0f} infinite."
        series = [
            Series("probe_activation", Kind.RAW, "activation", features, tuple(sizes), dims=("sample", "unit"),
                   dtype="float16", item_dim="layer", ragged=tuple((n, size) for size in sizes.values())),
        ]  # fmt: skip
        if self._predictions:
            series.append(
                Series("probe_prediction", Kind.RAW, "output", "What the model answers to the probe.",
                       tuple(self._predictions), item_dim="probe",
                       ragged=tuple((n, *shape) for shape in self._predictions.values()))
            )  # fmt: skip
        return tuple(series)

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> probe_activation {layer: (sample, unit)}, probe_prediction {probe: (sample, ...)}"""
        with np.errstate(over="ignore"):
            features = {name: x.astype(np.float16) for name, x in self._layers.features(reading).items()}
        found = {"probe_activation": features}
        if self._predictions:
            given = {name: reading.outputs[name] for name in self._predictions if name in reading.outputs}
            of = {name: y for name, y in given.items() if y.shape[1:] == self._predictions[name]}  # no other head's
            found["probe_prediction"] = of
        size = sum(values.nbytes for items in found.values() for values in items.values())
        if self._bytes + size > self.max_size:
            raise Finished(f"reached its max_size of {self.max_size / 1e6:g} MB")
        self._bytes += size
        return found
