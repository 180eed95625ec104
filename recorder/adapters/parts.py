"""How do numbers of the parts of a tensor, each measured by another process, become those of the tensor?

What adds up is sent around, and never the parts: squares for norms, counts as they are, and for the angle between two
vectors their product and their squares,

    ||x||^2 = sum of ||x_p||^2        x . y = sum of x_p . y_p = sum of cos(angle_p) ||x_p|| ||y_p||

Quantiles do not add up, nor does what depends on a number of the whole tensor: an instrument that wants these, whole
tensors or the model itself is left out of such a training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from recorder.reading import AVERAGED, COUNTS, OF_QUANTILES, Instrument, Need, Plan, Statistic

Sums = dict[Statistic, np.ndarray]  # (tensor, number) float64

NORMS = frozenset({Statistic.GRADIENT_NORM, Statistic.WEIGHT_NORM, Statistic.UPDATE_NORM})
ANGLES = {Statistic.GRADIENT_ANGLE: Statistic.GRADIENT_NORM, Statistic.UPDATE_COSINE: Statistic.UPDATE_NORM}
OF_WHOLES = OF_QUANTILES | {Statistic.NEAR_ZERO_RELATIVE} | AVERAGED.keys()


def adds_up(instrument: Instrument) -> bool:
    """Whether all that it wants can be told from the parts."""
    return OF_WHOLES.isdisjoint(instrument.statistics) and instrument.needs.isdisjoint({Need.RAW, Need.MODEL})


def completed(plan: Plan) -> Plan:
    """The plan with the lengths of the vectors whose angles are wanted at this update or the next."""
    return replace(plan, statistics=plan.statistics | set(ANGLES.values())) if plan.turns else plan


def sums(
    table: Mapping[Statistic, np.ndarray], counted: np.ndarray, before: Mapping[Statistic, np.ndarray]
) -> Sums:  # fmt: skip
    """What adds up over the parts; of tensors that are not `counted` (tensor,) here, 0.

    `before` is the table of the update before, with which angles are measured.
    """
    found: Sums = {}
    for statistic, column in table.items():
        if statistic in ANGLES:
            length = table[ANGLES[statistic]]
            column = _products(statistic, column, length, before.get(ANGLES[statistic], np.full_like(length, np.nan)))
        elif statistic in NORMS:
            column = column**2
        column = column.reshape(len(column), -1).astype(np.float64)
        found[statistic] = np.where(counted[:, None], column, 0.0)
    return found


def wholes(total: Mapping[Statistic, np.ndarray], stepped: np.ndarray) -> dict[Statistic, np.ndarray]:
    """The table of the tensors; NaN and counts of 0 for those that were not updated."""
    table = {}
    with np.errstate(all="ignore"):
        for statistic, column in total.items():
            if statistic in ANGLES:
                xy, xx, yy = column.T
                cosine = np.clip(xy / np.sqrt(xx * yy), -1, 1)
                angle = np.degrees(np.arccos(cosine)) if statistic is Statistic.GRADIENT_ANGLE else cosine
                table[statistic] = np.where(stepped, angle, np.nan)
            elif statistic in NORMS:
                table[statistic] = np.where(stepped, np.sqrt(column[:, 0]), np.nan)
            else:
                counts = column.astype(np.int64)
                table[statistic] = counts[:, 0] if statistic in COUNTS else counts
    return table


def _products(statistic: Statistic, angle: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-> (tensor, 3): x.y, x.x, y.y from the angle and the lengths; an angle with no vector at all adds nothing."""
    cosine = np.cos(np.radians(angle)) if statistic is Statistic.GRADIENT_ANGLE else angle
    product = np.where((x == 0) | (y == 0), 0.0, cosine * x * y)
    return np.stack([product, x**2, y**2], axis=1)
