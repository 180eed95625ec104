"""Does a loss leap out of its own past?

    limit = m + k max(d, |m| / 100)     m: median of the last N values, d: median of their distances from m

A spike is over this limit and over each of the last N values, so that a loss that often leaps has none. The median
absolute deviation d, unlike a standard deviation, does not grow with the spikes themselves; where a loss hardly moves,
a hundredth of it takes the place of d.
"""

from __future__ import annotations

from collections import deque
from math import inf
from statistics import median

LEAST = 0.01  # of the median, as a deviation


class Past:
    """The last `size` finite values of one number."""

    def __init__(self, size: int) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._peaks: deque[float] = deque()  # descending; the first is the highest of the last values

    @property
    def peak(self) -> float:
        """The highest of them."""
        return self._peaks[0] if self._peaks else -inf

    def spike(self, value: float, *, deviations: float, at_least: int) -> float | None:
        """The limit that a finite `value` is over, judged by `at_least` values before it; then it is one of them."""
        limit = None
        if len(self._values) >= at_least and value > self._peaks[0]:
            found = _limit(list(self._values), deviations)
            limit = found if value > found else None
        self.take_in(value)
        return limit

    def take_in(self, value: float) -> None:
        """A finite value that is not judged."""
        if len(self._values) == self._values.maxlen and self._values[0] == self._peaks[0]:
            self._peaks.popleft()
        while self._peaks and self._peaks[-1] < value:
            self._peaks.pop()
        self._peaks.append(value)
        self._values.append(value)


def _limit(values: list[float], deviations: float) -> float:
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    scale = max(deviation, LEAST * abs(middle))
    return middle + deviations * scale if scale > 0 else inf
