"""Is every series what plain numpy makes of the gradients and weights that the same run holds, entry by entry?"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder import every
from recorder.analysis.signs import unpacked
from recorder.instruments import INSTRUMENTS, NearZero, NearZeroRelative, RawSnapshots, SignMap
from recorder.reading import Need
from tests.instruments import definitions
from tests.instruments.definitions import MAP, RELATIVE, TAU, TIGHT, TOTALS

ANGLES = ("gradient_angle", "average_gradient_angle")  # steep near 0 and 180 degrees: the cosine has 16 digits


def everything() -> list[Any]:
    """Each instrument of gradients and weights at each step, and the vectors themselves."""
    asked = {
        "near_zero": NearZero(tau=TAU, tight=TIGHT), "near_zero_relative": NearZeroRelative(tau=RELATIVE),
        "sign_map": SignMap(tau=MAP), "raw_snapshots": RawSnapshots(quantities=("gradient", "weight", "update")),
    }  # fmt: skip
    return [every(1, asked.get(one.name) or one()) for one in INSTRUMENTS if Need.PROBE not in one.needs]


def assert_by_definition(run: Any) -> None:
    """Counts exactly; numbers to 1e-6, as float32 keeps them."""
    totals: dict[str, Any] = {}
    for tensor in run["gradient_norm"].items:
        g, w = (run.values(f"raw_{what}", tensor) for what in ("gradient", "weight"))
        seen: set[str] = set()
        for name, expected in definitions.numbers(g, w).items():
            if name not in run.series:
                continue  # not everything is kept of the averages
            seen.add(name)
            found = run.values(name, tensor)
            if expected.dtype.kind in "iu" or name in TOTALS:
                np.testing.assert_array_equal(found, expected, err_msg=f"{name} of {tensor}")
                totals[name] = totals.get(name, 0) + expected
            else:
                atol = 2e-5 if name in ANGLES else 1e-7
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol, err_msg=f"{name} of {tensor}")
        np.testing.assert_array_equal(run.values("raw_update", tensor)[1:], np.diff(w, axis=0))
        map = unpacked(run.values("sign_map", tensor))[:, : w[0].size]
        np.testing.assert_array_equal(map, definitions.codes(g), err_msg=tensor)
        per_tensor = {name for name, s in run.series.items() if s.item_dim == "tensor"}
        assert seen == per_tensor - {"sign_map", "raw_gradient", "raw_weight", "raw_update"}
    for name in TOTALS:
        np.testing.assert_array_equal(run[f"{name}_total"].values, totals[name], err_msg=name)
    squares = run["gradient_norm"].values.astype(float) ** 2
    np.testing.assert_allclose(run["gradient_norm_total"].values, np.sqrt(squares.sum(axis=1)), rtol=1e-6)
