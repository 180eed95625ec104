"""Is every series of representations what plain numpy makes of the activations that the same run holds?"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder.analysis.layer_pairs import halves
from recorder.instruments import ProbeActivations, RawActivations
from tests.instruments import representations as by_hand

SERIES = (
    "unit_correlation", "unit_correlation_units", "correlation_mean", "correlation_mean_abs", "correlation_rms",
    "correlation_max_abs", "correlation_q95", "correlation_dead_units", "sample_correlation", "cka", "cka_gram",
    "effective_dimension",
)  # fmt: skip
TOLERANCE = 1e-5  # of float32
UNITS, SAMPLES, GRAM = 256, 100, 128


def everything() -> list[Any]:
    """What `full` has of representations, and the activations themselves."""
    names = ["unit_correlation", "correlation_summary", "sample_correlation", "cka", "effective_dimension"]
    return [*names, RawActivations(), ProbeActivations()]


def assert_by_definition(run: Any, suffix: str = "") -> int:
    """Every row of every series of one probe; how many numbers were compared."""
    compared = 0
    raw = run.series[f"raw_activation{suffix}"].items
    steps = {layer: run.clock(f"raw_activation{suffix}", layer).step.tolist() for layer in raw}
    for step in sorted({s for own in steps.values() for s in own}):
        seen = {layer: run.row(f"raw_activation{suffix}", step, layer)[1] for layer in raw if step in steps[layer]}
        x = {layer: by_hand.units(a) for layer, a in seen.items() if np.isfinite(a).all()}
        for name in SERIES:
            compared += _assert_row(run, name, suffix, step, x)
        for layer, found in x.items():
            kept = run.row(f"probe_activation{suffix}", step, layer)[1]
            np.testing.assert_allclose(kept, found, rtol=2e-3, atol=1e-6, err_msg=layer)
    return compared


def _assert_row(run: Any, name: str, suffix: str, step: int, x: dict[str, np.ndarray]) -> int:
    series, compared = run.series[name + suffix], 0
    pairs = halves(series.items)
    for item in series.items:
        layers = pairs.get(item, (item,))
        if not all(layer in x for layer in layers):
            continue
        found = run.row(name + suffix, step, item)
        assert found[0] == step, (name, item)
        mine = [x[layer] for layer in layers]
        expected = _expected(run, name, suffix, step, layers, mine)
        if name == "unit_correlation_units":
            np.testing.assert_array_equal(found[1], expected, err_msg=f"{name} {item} {step}")
        else:
            np.testing.assert_allclose(
                found[1], expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"{name} of {item} at step {step}"
            )
        compared += np.size(expected)
    return compared


def _expected(
    run: Any, name: str, suffix: str, step: int, layers: tuple[str, ...], x: list[np.ndarray]
) -> np.ndarray | float:
    if name == "unit_correlation":
        which = [run.row(f"unit_correlation_units{suffix}", step, layer)[1] for layer in layers]
        return by_hand.correlation(*(one[:, w] for one, w in zip(x, which, strict=True)))
    if name == "unit_correlation_units":
        first = int(run.clock(f"raw_activation{suffix}", layers[0]).step[0])
        begun = by_hand.units(run.row(f"raw_activation{suffix}", first, layers[0])[1])
        return np.sort(np.argsort(-begun.var(axis=0), kind="stable")[:UNITS])
    if name == "correlation_dead_units":
        return by_hand.dead(x[0]).sum()
    if name == "sample_correlation":
        return by_hand.samples_alike(x[0][:SAMPLES])
    if name == "cka":
        return by_hand.cka(*(one[:GRAM] for one in x))
    if name == "cka_gram":
        return _gram(x[0][:GRAM])
    if name == "effective_dimension":
        return by_hand.effective_dimension(x[0])
    return by_hand.summary(*x, own=layers[0] == layers[1])[name.removeprefix("correlation_")]


def _gram(x: np.ndarray) -> np.ndarray:
    """Its inner products with others are their CKA: zero diagonal, rows that sum to 0, length 1."""
    n, centred = len(x), x - x.mean(0)
    k = centred @ centred.T
    np.fill_diagonal(k, 0)
    if n < 4 or by_hand.dead(x).all():
        return np.full((n, n), np.nan)
    rows = k.sum(axis=0) / (n - 2)
    k = k - rows[:, None] - rows[None, :] + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k / np.linalg.norm(k)
