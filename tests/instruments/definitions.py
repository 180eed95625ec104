"""What gradients and weights do, written down in plain numpy from a tensor's own vectors: every series, every step.

`numbers(g, w)` is given all gradients and weights of a training, (step, ...) in their precision, and answers with
{series: (step, ...)}. Nothing of the recorder's analysis is used but the edges of its bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder.analysis.histogram import EDGES

AT = (0.05, 0.25, 0.5, 0.75, 0.95)
TAU, TIGHT, RELATIVE, MAP = 0.03, 0.0075, 0.05, 0.03
TOTALS = ("near_zero_count", "near_zero_count_tight", "near_zero_retained", "near_zero_released", "near_zero_trapped",
          "near_zero_flips", "near_zero_minima", "near_zero_maxima", "near_zero_relative_count",
          "local_minima", "local_maxima")  # fmt: skip


def numbers(g: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    """Of a tensor, and under `average_...` of its moving averages."""
    averages = _numbers(_average(g), _average(w)).items()
    return _numbers(g, w) | {f"average_{name.replace('weight_change', 'change')}": x for name, x in averages}


def _average(x: np.ndarray) -> np.ndarray:
    found = [x[0]]
    for now in x[1:]:
        found.append((0.9 * found[-1].astype(float) + 0.1 * now.astype(float)).astype(x.dtype))
    return np.array(found)


def _numbers(g: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    g, w = (x.reshape(len(x), -1) for x in (g, w))
    rows = [_alone(g[t], w[t]) | _beside(g, w, t) for t in range(len(g))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _alone(g: np.ndarray, w: np.ndarray) -> dict[str, Any]:
    limit = np.float32(RELATIVE * np.sqrt(np.square(g, dtype=float).mean()))
    return {
        "gradient_norm": np.linalg.norm(g.astype(float)),
        "gradient_nonfinite": (~np.isfinite(g)).sum(),
        "weight_norm": np.linalg.norm(w.astype(float)),
        "weight_nonfinite": (~np.isfinite(w)).sum(),
        "near_zero_count": (np.abs(g) <= g.dtype.type(TAU)).sum(),
        "near_zero_count_tight": (np.abs(g) <= g.dtype.type(TIGHT)).sum(),
        "near_zero_relative_count": (np.abs(g) <= limit).sum(),
        "gradient_histogram": _histogram(g),
        "weight_histogram": _histogram(w),
    }


def _beside(g: np.ndarray, w: np.ndarray, t: int) -> dict[str, Any]:
    """What compares with the update before: undefined at the first one, counts 0."""
    none = np.full(len(AT), np.nan)
    now, before = np.abs(g[t]) <= g.dtype.type(TAU), np.abs(g[t - 1]) <= g.dtype.type(TAU)
    retained, released, trapped = now & before, before & ~now, now & ~before
    change, turn = w[t].astype(float) - w[t - 1], g[t].astype(float) - g[t - 1]
    flips = np.sign(g[t]) * np.sign(g[t - 1]) < 0
    s = np.sign(change) * np.sign(turn) * flips
    moved = change != 0
    counts = {
        "near_zero_retained": retained, "near_zero_released": released, "near_zero_trapped": trapped,
        "near_zero_flips": flips & retained, "near_zero_minima": (s > 0) & retained,
        "near_zero_maxima": (s < 0) & retained, "sign_flips": flips, "local_minima": s > 0, "local_maxima": s < 0,
    }  # fmt: skip
    found: dict[str, Any] = {
        **{name: mask.sum() for name, mask in counts.items()},
        "near_zero_released_share": _share(released.sum(), before.sum()),
        "near_zero_flips_share": _share((flips & retained).sum(), retained.sum()),
        "sign_flips_share": flips.mean(),
        "weight_change_norm": np.linalg.norm(change),
        "update_ratio": np.linalg.norm(change) / (np.linalg.norm(w[t - 1].astype(float)) or np.nan),
        "gradient_angle": np.degrees(np.arccos(_cosine(g[t], g[t - 1]))),
        "change_cosine": _cosine(change, w[t - 1].astype(float) - w[t - 2]) if t > 1 else np.nan,
        "secant_curvature": np.quantile(turn[moved] / change[moved], AT) if moved.any() else none,
        "near_zero_movement": np.quantile(np.abs((w[t] - w[t - 1])[retained]), AT) if retained.any() else none,
        "update_histogram": _histogram(w[t] - w[t - 1]),
    }
    if t == 0:
        return {name: x * 0 if np.asarray(x).dtype.kind in "iu" else x * np.nan for name, x in found.items()}
    return found


def _histogram(x: np.ndarray) -> np.ndarray:
    """-> (204,): below, between each two edges, above, NaN; a bin is closed towards zero."""
    x = x.astype(float)
    below = np.searchsorted(EDGES, x[x < 0], side="left")
    above = np.searchsorted(EDGES, x[x >= 0], side="right")
    return np.bincount([*below, *above, *np.full(np.isnan(x).sum(), len(EDGES) + 1)], minlength=len(EDGES) + 2)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else np.nan


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(float), y.astype(float)
    length = np.linalg.norm(x) * np.linalg.norm(y)
    return float(np.clip(x @ y / length, -1, 1)) if length else np.nan


def codes(g: np.ndarray) -> np.ndarray:
    """-> (step, entry): 0 far from zero, 1 negative, 2 positive, 3 exactly zero."""
    g = g.reshape(len(g), -1)
    return np.where(np.abs(g) <= g.dtype.type(MAP), np.select([g < 0, g > 0], [1, 2], 3), 0)
