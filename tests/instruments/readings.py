"""Readings made by hand, for tests of instruments."""

from __future__ import annotations

import numpy as np

from recorder.analysis import histogram
from recorder.reading import Facts, LayerFacts, Reading, Statistic, TensorFacts

FACTS = Facts(
    framework="torch",
    tensors=(TensorFacts("w", (2, 3), "float32", "layer"), TensorFacts("b", (3,), "float16", "layer")),
    layers=(
        LayerFacts("relu", "ReLU", (3,)),
        LayerFacts("conv", "Conv2d", (2, 4, 4)),
        LayerFacts("tanh", "Tanh", (2,)),
    ),
    probe_samples=5,
)


def reading(*, weights=None, gradients=None, before=None, activations=None, raw=None) -> Reading:
    """What an adapter would give for these tensors {name: array}; NaN and 0 where there is none."""

    def over(arrays, number, missing):
        found = [number(arrays[t.name]) if arrays and t.name in arrays else missing for t in FACTS.tensors]
        return np.array(found)

    def norm(x):
        return np.linalg.norm(np.asarray(x, float))

    def nonfinite(x):
        return int((~np.isfinite(x)).sum())

    none = np.zeros(histogram.COLUMNS, int)
    moved = {n: np.asarray(weights[n]) - before[n] for n in before} if before and weights else None
    table = {
        Statistic.GRADIENT_NORM: over(gradients, norm, np.nan),
        Statistic.GRADIENT_NONFINITE: over(gradients, nonfinite, 0),
        Statistic.GRADIENT_HISTOGRAM: over(gradients, histogram.counts, none),
        Statistic.WEIGHT_NORM: over(weights, norm, np.nan),
        Statistic.WEIGHT_NONFINITE: over(weights, nonfinite, 0),
        Statistic.WEIGHT_HISTOGRAM: over(weights, histogram.counts, none),
        Statistic.UPDATE_NORM: over(moved, norm, np.nan),
    }
    previous = {Statistic.WEIGHT_NORM: over(before, norm, np.nan)} if before else {}
    return Reading(7, 1, 0.0, table, activations=activations or {}, raw=raw or {}, previous=previous)
