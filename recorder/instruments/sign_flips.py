"""How many entries of the gradient change their sign from one update to the next?

    #{k : g_{t-1}[k] g_t[k] < 0}, and its share of all entries

Half of them in pure noise, few where the training follows a slope. A way through an exact zero is no flip.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.charting.per_epoch import Curve, PerEpoch
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived

PER_EPOCH = PerEpoch(
    "fraction of sign flips per epoch", "1",
    (
        Curve("sign_flips_total", "sign_flips_share_total", "sign_flips_share", "of all entries"),
        Curve("near_zero_share_total", "near_zero_flips_share_total", "near_zero_flips_share", "of those retained"),
    ),
)  # fmt: skip


class SignFlips:
    """Sign changes of each tensor's gradient; where the update before was not seen the count is 0, the share NaN."""

    name = "sign_flips"
    statistics = frozenset({Statistic.SIGN_FLIPS, Statistic.COMPARED})
    needs: frozenset[Need] = frozenset()
    derived: ClassVar[Derived] = {"sign_flips_share": {"sign_flips_per_epoch": PER_EPOCH}}

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = facts.tensor_names
        return (
            Series("sign_flips", Kind.PER_ITEM, "count", "Entries of the gradient with another sign than before.",
                   tensors, dtype="uint32", item_dim="tensor"),
            Series("sign_flips_share", Kind.PER_ITEM, "1", "Share of the entries with another sign than before.",
                   tensors, item_dim="tensor"),
            Series("sign_flips_total", Kind.SCALAR, "1", "Share of all entries with another sign than before.",
                   ("sign_flips_share_total",), item_dim="scalar"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> sign_flips (tensor,), sign_flips_share (tensor,), sign_flips_total (1,)"""
        flips, compared = reading[Statistic.SIGN_FLIPS], reading[Statistic.COMPARED]
        return {
            "sign_flips": flips,
            "sign_flips_share": flips / np.where(compared, compared, np.nan),
            "sign_flips_total": np.array([flips.sum() / (compared.sum() or np.nan)]),
        }
