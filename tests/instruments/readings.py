"""Readings made by hand, for tests of instruments."""

from __future__ import annotations

import numpy as np

from recorder.adapters.rows import averaged
from recorder.analysis import histogram, signs, turns
from recorder.analysis.augmentations import Augmentation
from recorder.reading import Facts, LayerFacts, ProbeFacts, Reading, Statistic, TensorFacts

LAYERS = (
    LayerFacts("relu", "ReLU", (3,)),
    LayerFacts("conv", "Conv2d", (2, 4, 4)),
    LayerFacts("tanh", "Tanh", (2,)),
)
AUGMENTED = (
    Augmentation(0, "identity", 0.0), Augmentation(0, "blur", 1.0), Augmentation(1, "identity", 0.0),
    Augmentation(1, "blur", 1.0), Augmentation(1, "shift", 0.5),
)  # fmt: skip
FACTS = Facts(
    framework="torch",
    tensors=(TensorFacts("w", (2, 3), "float32", "layer"), TensorFacts("b", (3,), "float16", "layer")),
    layers=LAYERS,
    probe_samples=5,
    probes={
        "probe": ProbeFacts(5, layers=LAYERS, outputs={"": (2,)}),
        "augmentations": ProbeFacts(5, layers=LAYERS, augmentations=AUGMENTED),
    },
)


def sign_counts(g, w, g_before=None, w_before=None, tau=signs.TAU) -> dict[str, int]:
    """What `analysis.signs` counts, entry by entry in Python's own numbers."""
    n = dict.fromkeys(signs.NAMES, 0)
    sign = lambda x: int(x > 0) - int(x < 0)  # noqa: E731
    for k in range(len(g)):
        now = abs(g[k]) <= tau[0]
        n["near_zero"] += now
        n["near_zero_tight"] += abs(g[k]) <= tau[1]
        if g_before is None:
            continue
        n["compared"] += 1
        before = abs(g_before[k]) <= tau[0]
        retained = before and now
        n["near_zero_retained"] += retained
        n["near_zero_released"] += before and not now
        flip = sign(g[k]) * sign(g_before[k]) < 0
        s = sign(w[k] - w_before[k]) * sign(g[k] - g_before[k]) if flip else 0
        for name, found in (("sign_flips", flip), ("minima", s > 0), ("maxima", s < 0)):
            n[name] += found
            n["near_zero_" + name.removeprefix("sign_")] += retained and found
    return n


def relatively_near(g: np.ndarray, tau: float = signs.RELATIVE_TAU) -> int:
    """Entries within tau times the root mean square, in plain numpy."""
    return int((np.abs(g) <= np.float32(tau * np.sqrt(np.square(g, dtype=float).mean()))).sum())


def reading(*, weights=None, gradients=None, before=None, gradients_before=None, activations=None, raw=None) -> Reading:
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
        Statistic.UPDATE_HISTOGRAM: over(moved, histogram.counts, none),
        Statistic.NEAR_ZERO_RELATIVE: over(gradients, relatively_near, 0),
    }
    table |= {Statistic(name): np.zeros(len(FACTS.tensors), int) for name in signs.NAMES}
    for i, t in enumerate(FACTS.tensors):
        if gradients and t.name in gradients and weights:
            past = [np.ravel(x[t.name]) for x in (gradients_before, before) if gradients_before and before]
            for name, count in sign_counts(np.ravel(gradients[t.name]), np.ravel(weights[t.name]), *past).items():
                table[Statistic(name)][i] = count
    quantiles = np.full((len(FACTS.tensors), len(turns.AT)), np.nan)
    table |= {Statistic(name): quantiles for name in turns.QUANTILES}
    table |= {Statistic(name): quantiles[:, 0] for name in turns.ANGLES}
    table |= averaged(table)
    previous = {Statistic.WEIGHT_NORM: over(before, norm, np.nan)} if before else {}
    seen = activations or {}
    outputs = {"probe": seen["tanh"]} if "tanh" in seen else {}
    return Reading(
        7, 1, 0.0, table, activations=seen, probes={"probe": seen}, outputs=outputs, raw=raw or {}, previous=previous
    )
