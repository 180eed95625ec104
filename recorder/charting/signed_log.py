"""How does a histogram whose bins run over decades on both sides of zero fit on one axis?

    position(v) = C + sign(v) (1 + log10|v| - L)  for |v| >= 10^L;   C stands for 0,   10^L for "too small to matter"

Every power of ten lands on a whole number, so the ticks are plain `Scale.names`. The bins nearer to zero than the
first edge beyond 10^L are added up into one cell around C. Bins that are evenly spaced stay on a plain axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.chart import Scale

NEGLIGIBLE = 0.02  # the cell around zero may swallow this share of any row
MOST_TICKS = 9


@dataclass(frozen=True, eq=False)
class Binning:
    """Counts (row, cell) of the occupied cells, their edges (cell + 1,) on `scale`, and what a caption must say."""

    counts: np.ndarray
    edges: np.ndarray
    scale: Scale
    note: str = ""


def binned(counts: np.ndarray, edges: np.ndarray, *, label: str = "", unit: str = "") -> Binning:
    """Put the counts (row, bin) of the bins between `edges` on an axis."""
    inner = np.asarray(counts).astype(float)
    edges = np.asarray(edges, dtype=float)
    if _even(edges):
        cells, at = _trimmed(inner, edges)
        return Binning(cells, at, Scale(label, unit, limits=(float(at[0]), float(at[-1]))))
    inner, edges, low, merged = _around_zero(inner, edges)
    note = ""
    if merged:
        note = f" The cell around 0 holds what is nearer to it than {_smallest(edges):.1g}."
    cells, at = _trimmed(inner, edges)
    high = max(low + 1, int(np.ceil(np.log10(np.abs(at).max()) - 1e-9)))
    middle = 1 + high - low
    where = middle + _position(at, low)
    scale = Scale(
        label, unit, limits=(float(where[0]), float(where[-1])), names=_ticks(low, high), signed_log=(middle, low)
    )
    return Binning(cells, where, scale, note)


def value_at(scale: Scale, position: np.ndarray | float) -> np.ndarray:
    """The value that a position on the scale stands for; on any but a signed logarithmic scale the position itself."""
    if scale.signed_log is None:
        return np.asarray(position, dtype=float)
    middle, low = scale.signed_log
    away = np.asarray(position, dtype=float) - middle
    return np.sign(away) * 10.0 ** (low + np.abs(away) - 1)


def _even(edges: np.ndarray) -> bool:
    width = np.diff(edges)
    return bool(np.allclose(width, width[0], rtol=1e-3))


def _smallest(edges: np.ndarray) -> float:
    return float(np.abs(edges[edges != 0]).min())


def _trimmed(inner: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    occupied = np.flatnonzero(inner.any(axis=0))
    if not len(occupied):
        centre = int(np.argmin(np.abs(edges[1:] + edges[:-1])))
        occupied = np.array([centre])
    first, last = occupied[0], occupied[-1] + 1
    return inner[:, first:last], edges[first : last + 1]


def _around_zero(inner: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """Add the bins around zero up to the largest decade under which no row holds more than a negligible share."""
    total = np.maximum(inner.sum(axis=1), 1)
    reach = np.maximum(np.abs(edges[1:]), np.abs(edges[:-1]))  # (bin,) farthest point from zero
    occupied = reach[inner.any(axis=0)]
    lowest = int(np.ceil(np.log10(_smallest(edges)) - 1e-9))
    highest = int(np.ceil(np.log10(occupied.max()))) if len(occupied) else lowest
    low = lowest
    for decade in range(lowest + 1, highest):
        share = inner[:, reach <= 10.0**decade].sum(axis=1) / total
        if (share > NEGLIGIBLE).any():
            break
        low = decade
    within = np.flatnonzero(reach <= 10.0**low)
    if len(within) < 2:
        return inner, edges, low, False
    a, b = within[0], within[-1] + 1
    merged = np.concatenate([inner[:, :a], inner[:, a:b].sum(axis=1, keepdims=True), inner[:, b:]], axis=1)
    return merged, np.concatenate([edges[: a + 1], edges[b:]]), low, True


def _position(values: np.ndarray, low: int) -> np.ndarray:
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        decades = np.where(size > 0, 1 + np.log10(np.where(size > 0, size, 1)) - low, 0)
    return np.sign(values) * np.maximum(decades, 0)


def _ticks(low: int, high: int) -> tuple[str, ...]:
    decades = range(low, high + 1)
    every = next(n for n in (1, 2, 3, 5, 10, 100) if 2 * len(decades) < MOST_TICKS * n or n == 100)
    up = [_power(d) if d % every == 0 else "" for d in decades]
    return (*("-" + name if name else "" for name in reversed(up)), "0", *up)


def _power(decade: int) -> str:
    return f"{10.0**decade:g}" if -4 < decade < 4 else f"1e{decade}"
