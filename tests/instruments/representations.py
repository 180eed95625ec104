"""What representations do, written down in plain numpy from a layer's own activations: float64, one loop at a time.

Nothing of the recorder's analysis is used. Activations are (sample, unit, ...); units are their means over positions.
"""

from __future__ import annotations

import numpy as np


def units(activations: np.ndarray) -> np.ndarray:
    """-> (sample, unit) float64"""
    wide = activations.astype(np.float64)
    return wide.reshape(*wide.shape[:2], -1).mean(axis=2)


def dead(x: np.ndarray) -> np.ndarray:
    """-> (unit,): the same on every sample, to a rounding of float32"""
    x = x.astype(np.float32)
    return np.ptp(x, axis=0) <= np.finfo(np.float32).eps * np.abs(x).max(axis=0)


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-> (unit of x, unit of y) by numpy.corrcoef; NaN of dead ones"""
    if len(x) < 2:
        return np.full((x.shape[1], y.shape[1]), np.nan)
    with np.errstate(all="ignore"):
        found = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
    found[dead(x)] = np.nan
    found[:, dead(y)] = np.nan
    return found


def summary(x: np.ndarray, y: np.ndarray, *, own: bool) -> dict[str, float]:
    """mean of all r; of |r| without a unit with itself the mean, rms, largest and 95 % quantile"""
    r = correlation(x, y)[~dead(x)][:, ~dead(y)]
    others = np.array([abs(r[a, b]) for a in range(r.shape[0]) for b in range(r.shape[1]) if not own or a < b])
    if not len(others):
        return {"mean": r.mean() if r.size else np.nan} | dict.fromkeys(("mean_abs", "rms", "max_abs", "q95"), np.nan)
    return {
        "mean": r.mean(), "mean_abs": others.mean(), "rms": np.sqrt((others**2).mean()), "max_abs": others.max(),
        "q95": np.quantile(others, 0.95),
    }  # fmt: skip


def samples_alike(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        found = np.atleast_2d(np.corrcoef(x))
    constant = dead(x.T)
    found[constant] = np.nan
    found[:, constant] = np.nan
    return found


def hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """HSIC_1 of two Gram matrices, by its definition"""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    one = np.ones(n)
    found = (
        np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    )
    return float(found / (n * (n - 3)))


def cka(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 4 or dead(x).all() or dead(y).all():
        return np.nan
    k, l = (z @ z.T for z in (x - x.mean(0), y - y.mean(0)))  # noqa: E741
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def effective_dimension(x: np.ndarray) -> float:
    if len(x) < 2 or dead(x).all():
        return np.nan
    spectrum = np.linalg.eigvalsh(np.atleast_2d(np.cov(x[:, ~dead(x)].T)))
    return float(spectrum.sum() ** 2 / (spectrum**2).sum())


def variance_within(x: np.ndarray, images: np.ndarray) -> np.ndarray:
    """-> (unit,) within / total; NaN of dead ones"""
    within = sum(((x[images == i] - x[images == i].mean(0)) ** 2).sum(0) for i in np.unique(images))
    total = ((x - x.mean(0)) ** 2).sum(0)
    return np.where(dead(x), np.nan, within / np.where(total > 0, total, np.nan))


def cosine_to_clean(x: np.ndarray, made: list[dict], transform: str, strength: float) -> float:
    """Mean over the augmentations of that transform and strength; NaN where there is none."""
    found = []
    for k, one in enumerate(made):
        if (one["transform"], one["strength"]) == (transform, strength):
            clean = next(
                x[c] for c, other in enumerate(made)
                if other["transform"] == "identity" and other["sample"] == one["sample"]
            )  # fmt: skip
            length = np.linalg.norm(x[k]) * np.linalg.norm(clean)
            if length:
                found.append(x[k] @ clean / length)
    return float(np.mean(found)) if found else np.nan
