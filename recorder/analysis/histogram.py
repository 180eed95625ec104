"""How are a tensor's numbers distributed over signs and magnitudes?

The bins are fixed for all time, so histograms of different steps, tensors and runs can be compared and added. Their
edges are the half octaves +-2^(j/2), j = -80 .. 20, from 9.1e-13 to 1024. A row has 204 counts:

    column  0          x <= -2^10, -inf included
            1 .. 100   -2^10 < x <= -2^-40, from large magnitudes to small
            101        |x| < 2^-40: the centre, both zeros included
            102 .. 201 2^-40 <= x < 2^10, from small magnitudes to large
            202        x >= 2^10, +inf included
            203        NaN

A bin is closed towards zero: 2^(j/2) <= |x| < 2^((j+1)/2) on either side, so the histogram of -x is that of x read
backwards. Counts always sum to the number of entries. Edges compare as float64, whatever the dtype of the entries.
"""

from __future__ import annotations

import numpy as np

HALF_OCTAVES = range(-80, 21)
COLUMNS = 204
CENTRE = 101  # the column of zeros
NAN = 203  # the column of NaN

MAGNITUDES = np.array([2.0 ** (j // 2) * (np.sqrt(2.0) if j % 2 else 1.0) for j in HALF_OCTAVES])
EDGES = np.concatenate([-MAGNITUDES[::-1], MAGNITUDES])  # (202,)


def columns(values: np.ndarray) -> np.ndarray:
    """-> the column of each entry, in the entries' shape; the definition, which the compiled pass must equal."""
    x = np.asarray(values, dtype=np.float64)
    rank = np.searchsorted(MAGNITUDES, np.abs(x), side="right")  # 0 centre, 1..100 bins, 101 beyond
    return np.where(np.isnan(x), NAN, np.where(x < 0, CENTRE - rank, CENTRE + rank))


def counts(values: np.ndarray) -> np.ndarray:
    """-> (204,) int64; they sum to `values.size`."""
    return np.bincount(columns(values).ravel(), minlength=COLUMNS)
