"""How many gradients are small beside the others of their tensor?

    #{k : |g_t[k]| <= tau rms(g_t)}          rms(g) = ||g||_2 / sqrt(entries)

`NearZeroRelative(tau=1e-2)`: layers whose gradients differ by orders of magnitude compare, and a loss that is scaled
counts the same; `near_zero` has absolute limits. Over normally distributed entries 0.8 % are within 1e-2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.analysis.signs import RELATIVE_TAU
from recorder.charting.shares import Derive, Share, tensor_sizes
from recorder.errors import RecordError
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived

SHARE = Share(
    "near_zero_relative_count", "near_zero_relative_share",
    "Share of the gradient's entries that are small beside the others of their tensor.", tensor_sizes,
)  # fmt: skip


class NearZeroRelative:
    """Entries of each tensor's gradient within `tau` times its root mean square; 0 where that is not finite."""

    name = "near_zero_relative"
    statistics = frozenset({Statistic.NEAR_ZERO_RELATIVE})
    needs: frozenset[Need] = frozenset()
    shares: ClassVar[Mapping[str, Mapping[str, Derive]]] = {SHARE.counts: {SHARE.name: SHARE.of}}
    derived: ClassVar[Derived] = {SHARE.counts: {SHARE.name: SHARE}}

    def __init__(self, *, tau: float = RELATIVE_TAU) -> None:
        if not 0 <= tau < np.inf:
            raise RecordError(f"NearZeroRelative(tau={tau}): expected 0 <= tau")
        self.relative_tau = float(tau)

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        within = f"with |g| <= {self.relative_tau:g} rms(g) of their tensor"
        return (
            Series("near_zero_relative_count", Kind.PER_ITEM, "count", f"Entries of the gradient {within}.",
                   facts.tensor_names, dtype="uint32", item_dim="tensor"),
            Series("near_zero_relative_total", Kind.SCALAR, "count", f"Entries of all gradients {within}.",
                   ("near_zero_relative_count_total",), dtype="uint64", item_dim="scalar"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> near_zero_relative_count (tensor,), near_zero_relative_total (1,)"""
        counts = reading[Statistic.NEAR_ZERO_RELATIVE]
        return {"near_zero_relative_count": counts, "near_zero_relative_total": np.array([counts.sum()])}
