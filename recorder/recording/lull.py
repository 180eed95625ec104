"""Until when is nobody due? Looked up ahead, as to ask everybody at every step costs more than an idle step may.

It needs that a schedule depends on nothing but the moment; where one is thinned later, a lull is still a lull.
"""

from __future__ import annotations

from collections.abc import Callable

AHEAD = 64  # moments that are looked at together


class Lull:
    """A stretch of moments at which nobody is due."""

    def __init__(self) -> None:
        self._first = self._stop = 0

    def holds(self, moment: int) -> bool:
        return self._first <= moment < self._stop

    def find(self, moment: int, due: Callable[[int], bool]) -> None:
        """At this one nobody is due: see until when."""
        stop = moment + 1
        while stop < moment + AHEAD and not due(stop):
            stop += 1
        self._first, self._stop = moment, stop
