"""How many gradients are almost zero, do they stay so, and what do they do meanwhile?

    Z_t = {k : |g_t[k]| <= tau}                    retained: in Z_{t-1} and in Z_t
    released: in Z_{t-1} but not in Z_t            newly trapped: in Z_t but not in Z_{t-1}

`NearZero(tau=1e-5, tight=1e-7)`: the entries within the smaller `tight` are counted too. What compares with the update
before is not defined where that was not seen: its counts are 0 then, and its shares NaN, as 0 / 0 is. What exactly is
counted stands in `recorder.analysis.signs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.charting.per_epoch import Curve, PerEpoch
from recorder.charting.shares import Derive, Share, tensor_sizes
from recorder.errors import RecordError
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived

COUNTS = {
    "near_zero_count": "Entries of the gradient with |g| <= {tau:g}.",
    "near_zero_count_tight": "Entries of the gradient with |g| <= {tight:g}.",
    "near_zero_retained": "Entries with |g| <= {tau:g} in this update and in the one before.",
    "near_zero_released": "Entries with |g| <= {tau:g} in the update before, and no longer.",
    "near_zero_trapped": "Entries with |g| <= {tau:g} that were not so in the update before.",
    "near_zero_flips": "Sign changes of the gradient since the update before, among the retained.",
    "near_zero_minima": "Retained entries whose weight passed a minimum of the loss since the update before.",
    "near_zero_maxima": "Retained entries whose weight passed a maximum of the loss since the update before.",
}
SHARES = {
    "near_zero_released_share": "Share of the near-zero entries of the update before that are so no longer.",
    "near_zero_flips_share": "Share of the retained near-zero entries whose gradient changed its sign.",
}


SHARE = Share("near_zero_count", "near_zero_share", "Share of the gradient's entries that are near zero.", tensor_sizes)
COUNT_PER_EPOCH = PerEpoch(
    "zero gradients per epoch", "count",
    (
        Curve("near_zero_total", "near_zero_count_total", "near_zero_count"),
        Curve("near_zero_total", "near_zero_count_tight_total", "near_zero_count_tight"),
    ),
)  # fmt: skip
RELEASED_PER_EPOCH = PerEpoch(
    "fraction released per epoch", "1",
    (Curve("near_zero_share_total", "near_zero_released_share_total", "near_zero_released_share"),),
)  # fmt: skip
EXTREMA_PER_EPOCH = PerEpoch(
    "extrema passed near zero per epoch", "count",
    (
        Curve("near_zero_total", "near_zero_minima_total", "near_zero_minima", "minima"),
        Curve("near_zero_total", "near_zero_maxima_total", "near_zero_maxima", "maxima"),
    ),
)  # fmt: skip


class NearZero:
    """The near-zero set of each tensor's gradient from update to update, and its sign changes, minima and maxima."""

    name = "near_zero"
    statistics = frozenset({
        Statistic.NEAR_ZERO, Statistic.NEAR_ZERO_TIGHT, Statistic.NEAR_ZERO_RETAINED, Statistic.NEAR_ZERO_RELEASED,
        Statistic.NEAR_ZERO_FLIPS, Statistic.NEAR_ZERO_MINIMA, Statistic.NEAR_ZERO_MAXIMA, Statistic.COMPARED,
    })  # fmt: skip
    needs: frozenset[Need] = frozenset()
    shares: ClassVar[Mapping[str, Mapping[str, Derive]]] = {SHARE.counts: {SHARE.name: SHARE.of}}
    derived: ClassVar[Derived] = {
        "near_zero_count": {SHARE.name: SHARE, "near_zero_count_per_epoch": COUNT_PER_EPOCH},
        "near_zero_released_share": {"near_zero_released_per_epoch": RELEASED_PER_EPOCH},
        "near_zero_minima": {"near_zero_extrema_per_epoch": EXTREMA_PER_EPOCH},
    }

    def __init__(self, *, tau: float = 1e-5, tight: float = 1e-7) -> None:
        if not 0 <= tight <= tau < np.inf:
            raise RecordError(f"NearZero(tau={tau}, tight={tight}): expected 0 <= tight <= tau")
        self.tau = (float(tau), float(tight))

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tau, tight = self.tau
        tensors = facts.tensor_names
        totals, total_shares = (tuple(f"{name}_total" for name in names) for names in (COUNTS, SHARES))
        return (
            *(Series(name, Kind.PER_ITEM, "count", doc.format(tau=tau, tight=tight), tensors, dtype="uint32",
                     item_dim="tensor") for name, doc in COUNTS.items()),
            *(Series(name, Kind.PER_ITEM, "1", doc, tensors, item_dim="tensor") for name, doc in SHARES.items()),
            Series("near_zero_total", Kind.SCALAR, "count", "Near-zero entries in all tensors.", totals,
                   dtype="uint64", item_dim="scalar"),
            Series("near_zero_share_total", Kind.SCALAR, "1", "Near-zero shares over all tensors.", total_shares,
                   item_dim="scalar"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> counts (tensor,), shares (tensor,), and both over all tensors"""
        near, retained = reading[Statistic.NEAR_ZERO], reading[Statistic.NEAR_ZERO_RETAINED]
        counts = {
            "near_zero_count": near,
            "near_zero_count_tight": reading[Statistic.NEAR_ZERO_TIGHT],
            "near_zero_retained": retained,
            "near_zero_released": reading[Statistic.NEAR_ZERO_RELEASED],
            "near_zero_trapped": np.where(reading[Statistic.COMPARED] > 0, near - retained, 0),
            "near_zero_flips": reading[Statistic.NEAR_ZERO_FLIPS],
            "near_zero_minima": reading[Statistic.NEAR_ZERO_MINIMA],
            "near_zero_maxima": reading[Statistic.NEAR_ZERO_MAXIMA],
        }
        sums = np.array(list(counts.values())).sum(axis=1)
        totals = dict(zip(counts, sums, strict=True))
        return {
            **counts,
            **_shares(counts),
            "near_zero_total": sums,
            "near_zero_share_total": np.array(list(_shares(totals).values())),
        }


def _shares(counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parts of the set before and of the retained; NaN where that is empty or was not seen."""
    retained, released = counts["near_zero_retained"], counts["near_zero_released"]
    before = retained + released
    return {
        "near_zero_released_share": released / np.where(before, before, np.nan),
        "near_zero_flips_share": counts["near_zero_flips"] / np.where(retained, retained, np.nan),
    }
