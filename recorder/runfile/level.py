"""How can a million rows be drawn at once? By min, mean, max and non-finite count of stretches of them.

A Summary holds those numbers for consecutive stretches of rows; a level in the file is the Summary of whole buckets
of 256 rows. Neither a one-step spike nor a NaN is ever averaged away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.runfile.layout import BUCKET

WIDE = 100  # columns from which rows are reduced as wholes


@dataclass(frozen=True)
class Summary:
    """All arrays are (stretch, item). `low` is inf and `high` -inf where a stretch has no finite value."""

    low: np.ndarray
    high: np.ndarray
    total: np.ndarray  # float64 sum of the finite values
    finite: np.ndarray  # how many there are
    nonfinite: np.ndarray

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, part: slice) -> Summary:
        return Summary(self.low[part], self.high[part], self.total[part], self.finite[part], self.nonfinite[part])

    def merged(self, starts: np.ndarray) -> Summary:
        """Stretches joined: entry k covers those from starts[k] up to starts[k + 1]."""
        if len(starts) == len(self):
            return self
        return Summary(
            reduced(np.minimum, self.low, starts), reduced(np.maximum, self.high, starts),
            reduced(np.add, self.total, starts), reduced(np.add, self.finite, starts),
            reduced(np.add, self.nonfinite, starts),
        )  # fmt: skip

    def stored(self) -> np.ndarray:
        """(stretch, 4, item) float64: min, mean, max (NaN where nothing is finite), non-finite count."""
        some = self.finite > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(some, self.total / self.finite, np.nan)
        low, high = np.where(some, self.low, np.nan), np.where(some, self.high, np.nan)
        return np.stack([low, mean, high, self.nonfinite.astype(float)], axis=1)


def joined(parts: list[Summary]) -> Summary:
    """Summaries one after another."""
    if len(parts) == 1:
        return parts[0]
    names = ("low", "high", "total", "finite", "nonfinite")
    return Summary(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def reduced(
    operation: np.ufunc, values: np.ndarray, starts: np.ndarray, dtype: type[np.generic] | None = None
) -> np.ndarray:
    """Entry k over the rows from starts[k] up to starts[k + 1], as `operation.reduceat`; `starts` ascend.

    Which goes through the columns one by one: of ten thousand that takes twenty times as long as row by row.
    """
    if values.ndim < 2 or values.shape[1] < WIDE:
        return operation.reduceat(values, starts, dtype=dtype)
    found = np.empty((len(starts), *values.shape[1:]), dtype or values.dtype)
    bounds = [*starts.tolist(), len(values)]
    for k, entry in enumerate(found):
        operation.reduce(values[bounds[k] : bounds[k + 1]], axis=0, dtype=dtype, out=entry)
    return found


def summarise(values: np.ndarray, starts: np.ndarray) -> Summary:
    """The Summary of rows (row, item), entry k over the rows from starts[k] up to starts[k + 1]."""
    if values.dtype.kind == "f":
        ok = np.isfinite(values)
        if not ok.all():
            low, high = np.where(ok, values, np.inf), np.where(ok, values, -np.inf)
            zeroed = np.where(ok, values, 0)
            finite = reduced(np.add, ok, starts, np.int64)
            rows = np.diff(np.append(starts, len(values)))[:, None]
            return _summary(low, high, zeroed, starts, finite, rows - finite)
    rows = np.repeat(np.diff(np.append(starts, len(values)))[:, None], values.shape[1], axis=1)
    return _summary(values, values, values, starts, rows, np.zeros_like(rows))


def _summary(
    low: np.ndarray, high: np.ndarray, addends: np.ndarray, starts: np.ndarray, finite: np.ndarray, bad: np.ndarray
) -> Summary:
    with np.errstate(over="ignore"):
        total = reduced(np.add, addends, starts, np.float64)
    lows, highs = (reduced(operation, v, starts) for operation, v in ((np.minimum, low), (np.maximum, high)))
    return Summary(lows.astype(np.float64), highs.astype(np.float64), total, finite, bad)


def from_stored(stored: np.ndarray, starts: np.ndarray, bucket: int = BUCKET) -> Summary:
    """The Summary of a level's entries (stretch, 4, item), entry k over those from starts[k] up to starts[k + 1].

    The entries are joined as they are stored: a level of 200 items over 10^6 rows is 12 MB, and each pass counts.
    """
    mean, bad = stored[:, 1], stored[:, 3]
    low, high = reduced(np.fmin, stored[:, 0], starts), reduced(np.fmax, stored[:, 2], starts)
    rows = np.diff(np.append(starts, len(stored)))[:, None] * bucket
    if not bad.any():
        total = bucket * reduced(np.add, mean, starts, np.float64)
        nonfinite = np.zeros(low.shape, np.int64)
    else:
        weighted = np.multiply(mean, bucket - bad, dtype=np.float64)  # NaN where nothing was finite
        total = reduced(np.add, np.where(bad < bucket, weighted, 0.0), starts)
        nonfinite = reduced(np.add, bad, starts, np.float64).astype(np.int64)
    finite = rows - nonfinite
    some = finite > 0
    return Summary(np.where(some, low, np.inf), np.where(some, high, -np.inf), total, finite, nonfinite)


@dataclass(frozen=True)
class Level:
    """The level of a series as it grows: buckets that wait to be written, and the one that is not yet full.

    Frozen: a commit that fails halfway is simply tried again from the old one.
    """

    written: int = 0  # buckets in the file
    rows: int = 0  # rows seen so far
    waiting: Summary | None = None  # the last one may be partial

    def extended(self, values: np.ndarray) -> Level:
        """The level with more rows (row, item)."""
        start = -(self.rows % BUCKET)
        cuts = np.maximum(np.arange(start, len(values), BUCKET), 0)
        new = summarise(values, cuts)
        if self.waiting is None:
            return Level(self.written, self.rows + len(values), new)
        both = joined([self.waiting, new])
        starts = np.arange(len(both))
        if start:  # the partial bucket and the first new piece are one
            starts = np.delete(starts, len(self.waiting))
        return Level(self.written, self.rows + len(values), both.merged(starts))

    def whole(self, chunk: int) -> tuple[np.ndarray | None, Level]:
        """(entries of all whole chunks of `chunk` buckets, the level without them)."""
        count = (self.rows // BUCKET - self.written) // chunk * chunk
        if not count or self.waiting is None:
            return None, self
        rest = self.waiting[count:] if len(self.waiting) > count else None
        return self.waiting[:count].stored(), Level(self.written + count, self.rows, rest)
