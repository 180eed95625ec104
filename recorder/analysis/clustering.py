"""In which order do units that behave alike stand beside each other?

Average linkage on 1 - r, and of the tree's 2^(n-1) orders the one in which neighbours are closest (Bar-Joseph, Gifford,
Jaakkola 2001). That takes n^3; from 512 units on the tree is drawn as it was built.
"""

from __future__ import annotations

import numpy as np

OPTIMAL = 512  # units


def clustered(r: np.ndarray) -> np.ndarray:
    """-> (unit,) the order of the rows and columns of a layer's correlations with itself, r (unit, unit)."""
    upper = np.triu_indices(len(r), 1)
    return _order(np.clip(1 - r[upper].astype(np.float64), 0, 2), len(r))


def clustered_pair(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> the orders of rows and of columns of the correlations between two layers, by the distances of their rows."""
    from scipy.spatial.distance import pdist  # late: it takes its time, and most views have no need of it

    found = [_order(pdist(side.astype(np.float64)), len(side)) for side in (r, r.T)]
    return found[0], found[1]


def _order(distances: np.ndarray, units: int) -> np.ndarray:
    from scipy.cluster.hierarchy import leaves_list, linkage

    if units < 3:
        return np.arange(units)
    distances = np.where(np.isfinite(distances), distances, 2.0)
    return leaves_list(linkage(distances, "average", optimal_ordering=units < OPTIMAL))
