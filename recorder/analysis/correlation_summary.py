"""How strongly do layers correlate, in five numbers for each pair of layers?

Of r[a, b] over all units a of layer i and b of layer j that are alive:

    mean        of r, in a layer with itself over the whole matrix, the r = 1 on its diagonal included
    mean_abs    of |r|        rms    sqrt(mean r^2)        max_abs    of |r|
    q95         the 95 % quantile of |r|, exact, between two entries by their distance, as numpy's

All but the mean leave out a unit's correlation with itself and count each pair of a layer's own units once: independent
units then read sqrt(2 / (pi (N - 1))) in mean_abs whether layers are different or the same. NaN where there is no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recorder.analysis.correlation import cross_correlation

QUANTILE = 0.95


@dataclass(frozen=True)
class CorrelationSummary:
    """One number for each pair of layers (in the order of `correlation.pairs`), or for each layer."""

    mean: np.ndarray  # (pair,) float64
    mean_abs: np.ndarray
    rms: np.ndarray
    max_abs: np.ndarray
    q95: np.ndarray
    dead: np.ndarray  # (layer,) int64, how many units
    nonfinite: np.ndarray


def correlation_summary(layers: Sequence[np.ndarray]) -> CorrelationSummary:
    """Of layers given as their features (sample, unit) on the same samples."""
    found = cross_correlation(layers)
    s = found.standardised
    rows = []
    for i, j, block in found.blocks():
        r = block[np.ix_(s.alive[s.layers[i]], s.alive[s.layers[j]])].astype(np.float64)
        mean = r.mean() if r.size else np.nan
        entries = np.abs(r[np.triu_indices(len(r), 1)] if i == j else r.ravel())
        if not entries.size:
            rows.append((mean, np.nan, np.nan, np.nan, np.nan))
            continue
        rms = np.sqrt(np.square(entries).mean())
        rows.append((mean, entries.mean(), rms, entries.max(), np.quantile(entries, QUANTILE)))
    count = [np.array([mask[columns].sum() for columns in s.layers]) for mask in (s.dead, s.nonfinite)]
    return CorrelationSummary(*np.array(rows).T, *count)
