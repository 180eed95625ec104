"""What do gradients and weights do when the noise of the batches is averaged out?

The statistics of `near_zero`, `near_zero_relative`, `near_zero_movement`, `sign_flips`, `local_extrema`,
`weight_change`, `gradient_angle`, `change_cosine` and `secant_curvature` of moving averages of g and w,
avg <- 0.9 avg + 0.1 x from the first update on. They take in every update, also where one in many is stored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.turns import AT
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series

NUMBERS: Mapping[str, tuple[Statistic, str, str]] = {
    "average_gradient_norm": (
        Statistic.AVERAGE_GRADIENT_NORM,
        "loss / weight",
        "Euclidean norm of the gradient's moving average.",
    ),
    "average_change_norm": (
        Statistic.AVERAGE_UPDATE_NORM,
        "weight",
        "Euclidean norm of the last change of the weights' moving average.",
    ),
    "average_gradient_angle": (
        Statistic.AVERAGE_GRADIENT_ANGLE,
        "degree",
        "Angle between the gradient's moving average and the one of the update before.",
    ),
    "average_change_cosine": (
        Statistic.AVERAGE_UPDATE_COSINE,
        "1",
        "Cosine between the last change of the weights' moving average and the change before.",
    ),
}
QUANTILES: Mapping[str, tuple[Statistic, str, str]] = {
    "average_secant_curvature": (Statistic.AVERAGE_SECANT_CURVATURE, "loss / weight^2",
                                 "Change of the gradient's moving average over that of the weight's:"),
    "average_near_zero_movement": (Statistic.AVERAGE_NEAR_ZERO_MOVEMENT, "weight",
                                   "Last change of the moving averages whose gradient stays near zero:"),
}  # fmt: skip
COUNTS: Mapping[str, tuple[Statistic, str]] = {
    "average_near_zero_count": (Statistic.AVERAGE_NEAR_ZERO, "near zero"),
    "average_near_zero_count_tight": (Statistic.AVERAGE_NEAR_ZERO_TIGHT, "within the tighter limit of near zero"),
    "average_near_zero_relative_count": (Statistic.AVERAGE_NEAR_ZERO_RELATIVE, "that are small beside the others"),
    "average_near_zero_retained": (Statistic.AVERAGE_NEAR_ZERO_RETAINED, "near zero now and before"),
    "average_near_zero_released": (Statistic.AVERAGE_NEAR_ZERO_RELEASED, "near zero before, and no longer"),
    "average_near_zero_flips": (Statistic.AVERAGE_NEAR_ZERO_FLIPS, "retained near zero, with another sign"),
    "average_near_zero_minima": (Statistic.AVERAGE_NEAR_ZERO_MINIMA, "retained near zero, past a minimum"),
    "average_near_zero_maxima": (Statistic.AVERAGE_NEAR_ZERO_MAXIMA, "retained near zero, past a maximum"),
    "average_sign_flips": (Statistic.AVERAGE_SIGN_FLIPS, "with another sign than before"),
    "average_local_minima": (Statistic.AVERAGE_MINIMA, "past a minimum of the loss"),
    "average_local_maxima": (Statistic.AVERAGE_MAXIMA, "past a maximum of the loss"),
}
SHARES = {
    "average_near_zero_released_share": "Share of the near-zero entries of the average before that are so no longer.",
    "average_sign_flips_share": "Share of the entries of the average with another sign than before.",
}
OF_SERIES: Mapping[str, Statistic] = {
    name: statistic for some in (NUMBERS, QUANTILES, COUNTS) for name, (statistic, *_) in some.items()
}


class MovingAverages:
    """Near-zero sets, sign flips, extrema, changes, angles and curvature of the averaged gradients and weights."""

    name = "moving_averages"
    statistics = frozenset({*OF_SERIES.values(), Statistic.AVERAGE_COMPARED})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = facts.tensor_names
        return (
            *(Series(name, Kind.PER_ITEM, unit, doc, tensors, item_dim="tensor")
              for name, (_, unit, doc) in NUMBERS.items()),
            *(Series(name, Kind.VECTOR, unit, f"{doc} 5, 25, 50, 75 and 95 % quantiles.", tensors, (len(AT),),
                     ("quantile",), item_dim="tensor") for name, (_, unit, doc) in QUANTILES.items()),
            *(Series(name, Kind.PER_ITEM, "count", f"Entries of the moving average {doc}.", tensors, dtype="uint32",
                     item_dim="tensor") for name, (_, doc) in COUNTS.items()),
            *(Series(name, Kind.PER_ITEM, "1", doc, tensors, item_dim="tensor") for name, doc in SHARES.items()),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> each series (tensor,), quantiles (tensor, quantile); shares of what is empty or was not seen are NaN"""
        found = {name: reading[statistic] for name, statistic in OF_SERIES.items()}
        released, compared = found["average_near_zero_released"], reading[Statistic.AVERAGE_COMPARED]
        before = released + found["average_near_zero_retained"]
        return {
            **found,
            "average_near_zero_released_share": released / np.where(before, before, np.nan),
            "average_sign_flips_share": found["average_sign_flips"] / np.where(compared, compared, np.nan),
        }
