"""In how many directions does a layer's representation vary? Its participation ratio.

    (tr S)^2 / tr S^2        S the covariance of the units; between 1 and min(units, samples - 1)

It is 1 where all samples lie on a line, and the number of units where they vary alike and independently.
"""

from __future__ import annotations

import numpy as np

from recorder.analysis.features import centred


def effective_dimension(x: np.ndarray) -> float:
    """Of the features `x` (sample, unit); NaN of a constant layer, a single sample, and of what is not finite.

    With fewer samples than units from X X' instead of X'X: both have the same eigenvalues.
    """
    with np.errstate(all="ignore"):
        wide = centred(x)
        wide /= np.abs(wide).max(initial=0)  # fourth powers would overflow
        product = wide @ wide.T if len(x) <= x.shape[1] else wide.T @ wide
        ratio = np.trace(product) ** 2 / np.square(product).sum()
    return float(ratio) if np.isfinite(ratio) else np.nan
