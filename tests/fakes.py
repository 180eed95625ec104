"""A run made of arrays: what charts, painters and screens are tested with, without a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recorder.errors import NotRecordedError
from recorder.runfile.schema import Clock, Event, Kind, Series
from recorder.view import Envelope, Window


@dataclass
class FakeRun:
    """Implements `recorder.view.RunView` over {series name: (Series, Clock, values (row, item, *shape))}."""

    name: str = "fake"
    data: dict[str, tuple[Series, Clock, np.ndarray]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Event] = ()

    @property
    def series(self) -> Mapping[str, Series]:
        return {name: series for name, (series, _, _) in self.data.items()}

    def _get(self, series: str) -> tuple[Series, Clock, np.ndarray]:
        if series not in self.data:
            raise NotRecordedError(f"{series!r} was not recorded in this run")
        return self.data[series]

    def _column(self, series: str, item: str | None) -> Any:
        declared = self._get(series)[0]
        return slice(None) if item is None else declared.items.index(item)

    def clock(self, series: str, item: str | None = None) -> Clock:
        return self._get(series)[1]

    def window(self, series: str, window: Window, item: str | None = None) -> Envelope:
        _, clock, values = self._get(series)
        inside = (clock.step >= (window.lo if window.lo is not None else -1)) & (
            clock.step <= (window.hi if window.hi is not None else np.iinfo(np.int64).max)
        )
        rows = np.flatnonzero(inside)
        buckets = np.array_split(rows, min(len(rows), window.points)) if len(rows) else []
        columns = values[:, self._column(series, item)].astype(float)
        parts: list[list[np.ndarray]] = [[], [], [], []]
        for b in buckets:
            block = columns[b]
            finite = np.isfinite(block)
            n = finite.sum(axis=0)
            with np.errstate(all="ignore"):
                parts[0].append(np.where(n > 0, np.where(finite, block, np.inf).min(axis=0), np.nan))
                parts[1].append(np.where(n > 0, np.where(finite, block, 0).sum(axis=0) / n, np.nan))
                parts[2].append(np.where(n > 0, np.where(finite, block, -np.inf).max(axis=0), np.nan))
            parts[3].append(len(b) - n)
        first = np.array([b[0] for b in buckets], dtype=int)
        x = {"step": clock.step, "epoch": clock.epoch, "time": clock.time - (clock.time[:1] if len(clock) else 0)}
        empty = columns[:0]
        lo, mean, hi, bad = (np.array(p) if p else empty for p in parts)
        return Envelope(clock.step[first], x[window.x][first].astype(float), lo, mean, hi, bad, rows=len(rows))

    def row(self, series: str, step: int | None = None, item: str | None = None) -> tuple[int, np.ndarray]:
        _, clock, values = self._get(series)
        k = len(clock) - 1 if step is None else int(np.searchsorted(clock.step, step, side="right")) - 1
        if k < 0:
            raise NotRecordedError(f"{series!r} has no row at or before step {step}")
        return int(clock.step[k]), values[k, self._column(series, item)]

    def rows(
        self, series: str, item: str, window: Window, *, part: tuple[int, int] | None = None
    ) -> tuple[Clock, np.ndarray]:
        _, clock, values = self._get(series)
        lo = 0 if window.lo is None else int(np.searchsorted(clock.step, window.lo, side="left"))
        hi = len(clock) if window.hi is None else int(np.searchsorted(clock.step, window.hi, side="right"))
        k = np.unique(np.linspace(lo, hi - 1, min(hi - lo, window.points)).astype(int)) if hi > lo else []
        k = np.asarray(k, dtype=int)
        chosen = Clock(clock.step[k], clock.epoch[k], clock.time[k])
        found = values[k, self._column(series, item)]
        found = np.stack(list(found)) if found.dtype == object and len(k) else found  # ragged items
        return chosen, found if part is None else found[:, slice(*part)]


def clock(steps: Sequence[int] | np.ndarray, per_epoch: int = 100) -> Clock:
    """A clock with one second a step."""
    step = np.asarray(steps, dtype=np.int64)
    return Clock(step, step // per_epoch, 1.7e9 + step.astype(float))


def fake_run(steps: int = 500, tensors: int = 8, bins: int = 204, seed: int = 0) -> FakeRun:
    """Two scalars, a per-tensor norm with a spike and a NaN, and weight histograms, in the names of a real run."""
    rng = np.random.default_rng(seed)
    names = tuple(f"layer{i // 2}.{'weight' if i % 2 == 0 else 'bias'}" for i in range(tensors))
    t = np.arange(steps)
    scalars = np.stack([np.exp(-t / 150) + 0.05 * rng.random(steps), np.full(steps, 1e-3)], axis=1)
    norms = (np.exp(-t / 200)[:, None] * (1 + np.arange(tensors)) + 0.1 * rng.random((steps, tensors))).astype("f4")
    if steps > 100:
        norms[steps // 2, 1] = 50.0
        norms[steps // 3, 2] = np.nan
    rare = clock(np.arange(0, steps, 50))
    counts = rng.integers(0, 50, (len(rare), tensors, bins)).astype("u4")
    edges = np.concatenate([-(2.0 ** (np.arange(20, -81, -1) / 2)), 2.0 ** (np.arange(-80, 21) / 2)])
    return FakeRun(
        data={
            "scalars": (
                Series("scalars", Kind.SCALAR, "", "Scalars of each step.", ("loss", "learning_rate"), dtype="float64",
                       item_dim="scalar", axis="step"),
                clock(t), scalars,
            ),
            "gradient_norm": (
                Series("gradient_norm", Kind.PER_ITEM, "loss / weight", "Euclidean norm of the tensor's gradient.",
                       names, item_dim="tensor", axis="pairs_2_of_10"),
                clock(t), norms,
            ),
            "weight_histogram": (
                Series("weight_histogram", Kind.DISTRIBUTION, "count", "Counts of the tensor's weights.", names,
                       (bins,), ("bin",), "uint32", "tensor", "each_epoch", edges=tuple(edges)),
                rare, counts,
            ),
        },
        meta={"framework": "torch", "command": ["train.py"]},
    )  # fmt: skip
