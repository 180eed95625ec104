"""Can a run have been recorded like this? A declaration decides how many bytes are read and where, so it is checked."""

from __future__ import annotations

from math import isfinite, prod

import numpy as np

from recorder.runfile.guard import MAX_NAME, MAX_ROW
from recorder.runfile.layout import is_axis, is_series
from recorder.runfile.schema import Kind, Series

MAX_SERIES = 4096
MAX_DIMS = 16


def checked(series: tuple[Series, ...]) -> tuple[Series, ...]:
    """The series themselves; ValueError says what no run has."""
    if len(series) > MAX_SERIES:
        raise ValueError(f"{len(series)} series; no run has more than {MAX_SERIES}")
    if len({s.name for s in series}) < len(series):
        raise ValueError("two series have one name")
    for s in series:
        _check(s)
    return series


def _check(s: Series) -> None:
    texts = (s.name, s.unit, s.doc, s.dtype, s.item_dim, s.axis, s.instrument)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{s.name!r}: name, unit, doc, dtype, item_dim, axis and instrument must be texts")
    if not is_series(s.name) or not is_axis(s.axis):
        raise ValueError(f"series {s.name!r} on axis {s.axis!r}: no series or axis has such a name")
    dtype = np.dtype(s.dtype)
    if dtype.kind not in "fiubS" or not 0 < dtype.itemsize <= MAX_NAME or dtype.shape:
        raise ValueError(f"{s.name!r}: no series holds {s.dtype!r}")
    if s.ragged and len(s.ragged) != len(s.items):
        raise ValueError(f"{s.name!r}: {len(s.ragged)} shapes for {len(s.items)} items")
    if len(set(s.items)) < len(s.items):
        raise ValueError(f"{s.name!r}: two of its items have one name")
    for shape in s.ragged or (s.shape,):
        if any(n < 0 for n in shape) or len(shape) > MAX_DIMS:
            raise ValueError(f"{s.name!r}: no row has the shape {shape[:MAX_DIMS]}")
    numbers = sum(map(prod, s.ragged)) if s.ragged else len(s.items) * prod(s.shape)
    if numbers * dtype.itemsize > MAX_ROW:
        raise ValueError(f"{s.name!r}: one row has {numbers * dtype.itemsize} bytes, more than {MAX_ROW}")
    if s.kind is Kind.DISTRIBUTION and s.edges and s.shape != (len(s.edges) + 2,):
        raise ValueError(f"{s.name!r}: {len(s.edges)} edges do not bound {s.shape} counts")
    if not all(map(isfinite, s.edges)) or any(b <= a for a, b in zip(s.edges, s.edges[1:], strict=False)):
        raise ValueError(f"{s.name!r}: its edges are not numbers that grow")
