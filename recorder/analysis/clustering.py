"""In which order do units that behave alike stand beside each other?

Average linkage on 1 - r, and of the tree's 2^(n-1) orders the one in which neighbours are closest (Bar-Joseph, Gifford,
Jaakkola 2001). That takes n^3; from 512 units on the tree is drawn as it was built.
"""

from __future__ import annotations

import numpy as np

OPTIMAL = 512  # units


def clustered(r: np.ndarray) -> np.ndarray:
    """-> (unit,) the order of the rows and columns of a layer's correlations with itself, r (unit, unit)."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # late: it takes its time, most views have no need of it

    units = len(r)
    if units < 3:
        return np.arange(units)
    distances = np.clip(1 - r[np.triu_indices(units, 1)].astype(np.float64), 0, 2)
    distances = np.where(np.isfinite(distances), distances, 2.0)
    return leaves_list(linkage(distances, "average", optimal_ordering=units < OPTIMAL))
