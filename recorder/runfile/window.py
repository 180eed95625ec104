"""How is a long stretch of rows summarised into few buckets, quickly and without losing a spike?

Where the stretch is long, bucket bounds are placed on multiples of 256 rows, so that all but the two ends come from
the level; the ends of the window are always exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from recorder.errors import NotRecordedError
from recorder.runfile.layout import BUCKET, power_of_two
from recorder.runfile.level import Summary, joined, summarise
from recorder.runfile.schema import Series
from recorder.runfile.stored import StoredVolume

SLAB_BYTES = 4 << 20


@dataclass(frozen=True)
class Segment:
    """Rows start..stop of some items of a series in one volume; the others are not seen, or stand in another segment.

    Rows are counted from the first of the volume.
    """

    volume: StoredVolume
    series: Series  # as declared in that volume
    columns: int | np.ndarray | None  # one item, some, or all
    stop: int
    start: int = 0

    @property
    def steps(self) -> np.ndarray:
        return self.all_steps[self.start : self.stop]

    @property
    def all_steps(self) -> np.ndarray:
        """Those of every row of the volume."""
        return self.volume.clock_column(self.series.axis, "step")

    def after(self, steps: int | np.ndarray, side: Literal["left", "right"]) -> Any:
        """The first row at (left) or behind (right) a step, or each of some."""
        return self.start + np.searchsorted(self.steps, steps, side=side)

    def read(self, start: int, stop: int, part: tuple[int, int] | None = None) -> np.ndarray:
        """Rows (row, item, *shape), or (row, *shape) where `columns` is one item, of whose rows a part may do."""
        if isinstance(self.columns, np.ndarray):
            return self.volume.read(self.series.name, start, stop)[:, self.columns]
        columns = slice(None) if self.columns is None else self.columns
        return self.volume.read(self.series.name, start, stop, columns, part)

    def bounds(self, lo: int | None, hi: int | None) -> tuple[int, int]:
        """The rows of lo <= step <= hi."""
        first = self.start if lo is None else int(self.after(lo, "left"))
        last = self.stop if hi is None else int(self.after(hi, "right"))
        return first, max(first, last)


@dataclass(frozen=True)
class Group:
    """Items that live in the same volumes: their places among all items of the series, and their segments in order."""

    places: np.ndarray
    segments: tuple[Segment, ...]


def bucket_steps(groups: Sequence[Group], *, lo: int | None, hi: int | None, points: int) -> np.ndarray:
    """The first step of each bucket, at most `points` of them."""
    points = max(1, points)
    cut = []
    if len(groups) == 1:
        spans = [(s, *s.bounds(lo, hi)) for s in groups[0].segments]
        rows = sum(stop - start for _, start, stop in spans)
        if rows > points * BUCKET // 2 and groups[0].segments[0].series.shape == ():
            size = -(-rows // (points * BUCKET)) * BUCKET
            for segment, start, stop in spans:
                starts = np.append(start, np.arange(start // size + 1, -(-stop // size)) * size)
                cut.append(segment.all_steps[starts[starts < stop]])
    if not cut:
        cut = [s.all_steps[slice(*s.bounds(lo, hi))] for group in groups for s in group.segments]
    steps = np.unique(np.concatenate(cut)) if cut else np.zeros(0, np.int64)
    if len(steps) > points:
        steps = steps[np.arange(points) * len(steps) // points]
    return steps


def summary(groups: Sequence[Group], steps: np.ndarray, *, items: int, hi: int | None) -> Summary:
    """The Summary (bucket, item) of the buckets that begin at `steps`."""
    shape = (len(steps), items)
    whole = Summary(
        np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape), np.zeros(shape, int), np.zeros(shape, int)
    )
    if not len(steps):
        return whole
    for group in groups:
        for segment in group.segments:
            _, end = segment.bounds(None, hi)
            starts = np.minimum(segment.after(steps, "left"), end)
            used = np.flatnonzero(np.diff(np.append(starts, end)) > 0)
            if not len(used):
                continue
            part = _summary(segment, starts[used], end)
            if len(groups) == len(group.segments) == 1 and (len(used), len(group.places)) == shape:
                return part
            at = np.ix_(used, group.places)
            whole.low[at] = np.minimum(whole.low[at], part.low)
            whole.high[at] = np.maximum(whole.high[at], part.high)
            whole.total[at] += part.total
            whole.finite[at] += part.finite
            whole.nonfinite[at] += part.nonfinite
    return whole


def _summary(segment: Segment, starts: np.ndarray, end: int) -> Summary:
    """Entry k over the rows from starts[k] up to starts[k + 1]; from the level where the bounds allow."""
    first = -(-int(starts[0]) // BUCKET)
    last = first
    if not (starts[1:] % BUCKET).any():
        last = min(end // BUCKET, segment.volume.level_buckets(segment.series.name))
    if last <= first:
        return _from_rows(segment, starts, end)
    parts, begins = [], []
    head, tail = first * BUCKET, last * BUCKET
    for begin, stop in ((int(starts[0]), head), (tail, end)):
        if begin < stop:
            own = np.union1d(begin, starts[(starts > begin) & (starts < stop)])
            parts.append(_from_rows(segment, own, stop))
            begins.append(own)
    own = np.union1d(head, starts[(starts > head) & (starts < tail)])
    columns: Any = slice(None) if segment.columns is None else segment.columns
    cuts = own // BUCKET - first  # joined first, so that what follows is small
    if isinstance(columns, np.ndarray):
        level = segment.volume.level(segment.series.name, first, last, slice(None), cuts)
        level = Summary(*(getattr(level, n)[:, columns] for n in ("low", "high", "total", "finite", "nonfinite")))
    else:
        level = segment.volume.level(segment.series.name, first, last, columns, cuts)
    at = 1 if starts[0] < head else 0
    parts.insert(at, level)
    begins.insert(at, own)
    return joined(parts).merged(np.searchsorted(np.concatenate(begins), starts))


def _from_rows(segment: Segment, starts: np.ndarray, end: int) -> Summary:
    """Reads the rows, a slab of whole chunks at a time."""
    s = segment.series
    if np.dtype(s.dtype).kind not in "fiub":
        raise NotRecordedError(f"{s.name!r} holds {s.dtype}: it has no minimum, mean or maximum")
    row = s.row_bytes
    if isinstance(segment.columns, int):
        row = prod(s.shape_of(s.items[segment.columns])) * np.dtype(s.dtype).itemsize
    slab = power_of_two(SLAB_BYTES // max(1, row))
    parts, begins = [], []
    first = int(starts[0])
    for begin in (first, *range((first // slab + 1) * slab, end, slab)):
        stop = min((begin // slab + 1) * slab, end)
        own = np.union1d(begin, starts[(starts > begin) & (starts < stop)]).astype(np.int64)
        values = segment.read(begin, stop)
        if isinstance(segment.columns, int):
            values = values[:, None]
        if values.dtype.kind == "b":
            values = values.astype(np.uint8)
        many = prod(values.shape[2:])  # a row of many numbers counts as so many rows
        values = np.moveaxis(values.reshape(*values.shape[:2], many), 2, 1).reshape(-1, values.shape[1])
        parts.append(summarise(values, (own - begin) * many))
        begins.append(own)
    return joined(parts).merged(np.searchsorted(np.concatenate(begins), starts))
