"""What a view asks of a run: where the one cursor stands, which stretch of steps is wanted, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from recorder.chart import View
from recorder.runfile.schema import Clock, Event, Series

Time = Literal["step", "epoch", "time"]


@dataclass(frozen=True)
class At:
    """The one cursor that all views follow; None means "the latest" for step and "all" or "the first" otherwise."""

    step: int | None = None
    item: str | None = None
    pair: tuple[str, str] | None = None
    unit: int | None = None
    sample: int | None = None
    samples: tuple[int, int] | None = None  # the two of a map of samples

    def item_of(self, series: Series) -> str:
        """The item at the cursor, the first of the series where it is at none."""
        return series.items[0] if self.item is None else self.item


@dataclass(frozen=True)
class Window:
    """The stretch lo <= step <= hi (None: open), summarised into at most `points` columns along x."""

    lo: int | None = None
    hi: int | None = None
    points: int = 1000
    x: Time = "step"
    parameters: tuple[int, int] | None = None  # of a sign map: from the first up to the second, in model order


@dataclass(frozen=True)
class Envelope:
    """A series over a window in at most `points` buckets, so that no spike and no NaN is lost.

    All arrays are (bucket,) or (bucket, item): min, mean and max over the bucket's finite values (NaN where there are
    none), `nonfinite` counts the others. `step` (bucket,) is each bucket's first recorded step, `x` its place on the
    wanted time axis (step; epochs as a fraction; seconds since the run began).
    """

    step: np.ndarray
    x: np.ndarray
    min: np.ndarray
    mean: np.ndarray
    max: np.ndarray
    nonfinite: np.ndarray
    rows: int  # recorded rows in the window, so that a view can say what it summarises


class RunView(Protocol):
    """All that charts may know of a run; the reader implements it and tests hand in a small fake."""

    @property
    def name(self) -> str: ...
    @property
    def meta(self) -> Mapping[str, Any]: ...
    @property
    def series(self) -> Mapping[str, Series]:
        """Every series by name; a SCALAR series `scalars` holds the scalars as its items."""
        ...

    @property
    def events(self) -> Sequence[Event]: ...
    def clock(self, series: str, item: str | None = None) -> Clock:
        """When this series (or this item of it, where late items have their own rows) was recorded."""
        ...

    def window(self, series: str, window: Window, item: str | None = None) -> Envelope:
        """min, mean, max and non-finite count, never the whole series; item None gives all items as columns."""
        ...

    def row(self, series: str, step: int | None = None, item: str | None = None) -> tuple[int, np.ndarray]:
        """(recorded step, values) of the last row at or before `step` (None: the last); all items or one."""
        ...

    def rows(
        self, series: str, item: str, window: Window, *, part: tuple[int, int] | None = None
    ) -> tuple[Clock, np.ndarray]:
        """At most `points` rows of one item, evenly chosen and with both ends: for distributions over steps.

        Fewer where rows are so large that they would not fit into 64 MiB; `sys.maxsize` points are every row.

        Of each row everything, or from entry `part[0]` up to `part[1]` of its first dimension: only that is read.
        """
        ...


Drawer = Callable[[RunView, str, At, Window], View]  # of a run, one of its series, the cursor, the stretch
Derived = Mapping[str, Mapping[str, Drawer]]  # series -> entry that is made of it -> its drawer
