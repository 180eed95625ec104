"""Where may the step cursor go? Recorded rows, their places along x, and the zoom: numbers only, no screen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Zoom = tuple[int | None, int | None]


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Track:
    """The steps (row,) at which the shown entry was recorded, ascending, and their places x (row,) on its chart."""

    steps: np.ndarray = field(default_factory=_none)
    x: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.steps)

    def row(self, step: int | None) -> int:
        """The last row at or before a step (None: the last); the first where there is none before."""
        if step is None:
            return len(self) - 1
        return max(int(np.searchsorted(self.steps, step, side="right")) - 1, 0)

    def place(self, step: int | None) -> float | None:
        """Where the cursor stands along x."""
        return float(self.x[self.row(step)]) if len(self) else None

    def by_rows(self, step: int | None, by: int) -> int | None:
        """The step `by` recorded rows on; None past the last one, which follows a growing run."""
        if not len(self):
            return step
        row = self.row(step) + by
        return None if row >= len(self) - 1 and by > 0 else int(self.steps[max(row, 0)])

    def by_x(self, step: int | None, by: float) -> int | None:
        """The recorded step nearest to `by` along x, at least one row on; None at the last row."""
        if not len(self) or by == 0:
            return step
        row = self.row(step)
        target = self.x[row] + by
        k = int(np.searchsorted(self.x, target))
        if k > 0 and (k == len(self) or target - self.x[k - 1] < self.x[k] - target):
            k -= 1
        k = max(k, row + 1) if by > 0 else min(k, row - 1)
        return None if k >= len(self) - 1 else int(self.steps[max(k, 0)])

    def nearest(self, x: float) -> int | None:
        """The recorded step nearest to a place along x."""
        return int(self.steps[np.abs(self.x - x).argmin()]) if len(self) else None

    def zoomed(self, zoom: Zoom, step: int | None, direction: int) -> Zoom:
        """Half (1) or twice (-1) as many steps around the cursor, within what was recorded; 0: all of them."""
        if not len(self) or direction == 0:
            return None, None
        first, last = int(self.steps[0]), int(self.steps[-1])
        lo, hi = self._bounds(zoom)
        span = hi - lo
        wide = max(span // 2, min(2, last - first)) if direction > 0 else max(span * 2, 1)
        if wide >= last - first:
            return None, None
        at = min(max(int(self.steps[self.row(step)]), lo), hi)
        share = (at - lo) / span if span else 0.5
        start = min(max(round(at - share * wide), first), last - wide)
        return start, start + wide

    def panned(self, zoom: Zoom, step: int | None) -> Zoom:
        """The zoom moved just so far, by quarters of its width, that it shows the cursor."""
        if zoom == (None, None) or not len(self):
            return zoom
        lo, hi = self._bounds(zoom)
        at = int(self.steps[self.row(step)])
        if lo <= at <= hi:
            return zoom
        first, last = int(self.steps[0]), int(self.steps[-1])
        span = hi - lo
        start = at - span // 4 if at < lo else at - span + span // 4
        start = min(max(start, first), max(last - span, first))
        return start, start + span

    def ends(self, zoom: Zoom) -> tuple[float, float]:
        """Where the zoom begins and ends along x."""
        return (
            (self.place(self._bounds(zoom)[0]) or 0.0, self.place(self._bounds(zoom)[1]) or 0.0)
            if len(self)
            else (0, 0)
        )

    def _bounds(self, zoom: Zoom) -> tuple[int, int]:
        lo, hi = zoom
        return (int(self.steps[0]) if lo is None else lo, int(self.steps[-1]) if hi is None else hi)
