"""A run with one small series of each kind."""

from __future__ import annotations

import numpy as np

from recorder.runfile.schema import Kind, Series
from tests.fakes import FakeRun, clock

EDGES = (-10.0, -1.0, -0.1, -0.01, 0.01, 0.1, 1.0, 10.0)


def run_of_kinds() -> FakeRun:
    """Every value is small and exact, so that a chart of it can be read as text."""
    steps = clock([0, 10, 20, 30], per_epoch=10)
    n = len(steps.step)
    counts = np.zeros((n, 1, len(EDGES) + 2), "u4")
    counts[:, 0, 3] = [60, 50, 40, 30]  # -0.1..-0.01
    counts[:, 0, 5] = [40, 50, 60, 60]  # 0.01..0.1
    counts[3, 0, 6:8] = 5, 5
    counts[2, 0, -1] = 1  # a NaN
    counts[3, 0, 0] = 2  # under the first edge
    norm = np.array([[4.0, 1.0], [2.0, np.nan], [1.0, 100.0], [0.5, 0.25]], "f4")
    loss = np.array([[2.0, 0.5], [1.0, 0.5], [np.inf, 0.5], [0.25, 0.5]])
    grid = np.arange(6.0).reshape(2, 3)
    mirror = [[1, -0.5], [-0.5, 1]]
    cube = np.arange(12.0).reshape(2, 3, 2)
    rows = {
        "scalars": (Series("scalars", Kind.SCALAR, "", "Scalars.", ("loss", "rate"), item_dim="scalar"), loss),
        "norm": (Series("norm", Kind.PER_ITEM, "loss / weight", "Length.", ("w", "b"), item_dim="tensor"), norm),
        "usage": (Series("usage", Kind.VECTOR, "1", "Use.", ("relu",), (3,), ("unit",)), _each(n, [1, -2, 3])),
        "histogram": (Series("histogram", Kind.DISTRIBUTION, "count", "Counts.", ("w",), (10,), edges=EDGES), counts),
        "correlation": (Series("correlation", Kind.MATRIX, "1", "Pearson r.", ("a",), (2, 2)), _each(n, mirror)),
        "signs": (Series("signs", Kind.SIGN_MAP, "", "Signs.", ("w",), (1,), dtype="uint8"), _each(n, [0xE4], "u1")),
        "embedding": (Series("embedding", Kind.POINTS, "", "PCA.", ("fc",), (3, 2)), _each(n, grid.reshape(3, 2))),
        "feature": (Series("feature", Kind.IMAGE, "", "A picture.", ("unit 0",), (2, 3)), _each(n, grid)),
        "chains": (Series("chains", Kind.TRACE, "loss", "Draws.", ("llc",), (2, 3), ("chain", "draw")), _each(n, grid)),
        "line": (Series("line", Kind.RAW, "", "A bias.", ("b",), (3,)), _each(n, [3, 1, 2])),
        "weights": (Series("weights", Kind.RAW, "", "A matrix.", ("w",), (2, 3)), _each(n, grid)),
        "kernel": (Series("kernel", Kind.RAW, "", "A kernel.", ("w",), (2, 3, 2)), _each(n, cube)),
        "report": (
            Series("report", Kind.TABLE, "", "By class.", ("cat", "dog"), (2,), columns=("precision", "recall")),
            np.tile(np.array([[0.5, 1.0], [0.25, 0.75]]), (n, 1, 1)),
        ),
    }  # fmt: skip
    return FakeRun("kinds", {name: (series, steps, values) for name, (series, values) in rows.items()})


def _each(n: int, value: object, dtype: str = "f4") -> np.ndarray:
    """The same value of one item at each of n steps."""
    one = np.asarray(value, dtype)
    return np.broadcast_to(one, (n, 1, *one.shape)).copy()
