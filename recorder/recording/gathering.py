"""How many steps may wait to be read together?

After a training step the processor's caches hold the network, not the recorder: what takes 20 us in a row takes 200 us
by itself. So the steps of a fast loop are read, judged and written a few at a time. What waits is in memory only: a
process that is killed loses these steps, so there are few of them and they are young; a slow loop waits for nothing.
"""

from __future__ import annotations

STEPS = 16
SECONDS = 0.1
ROWS = 4096  # steps x tensors, whose numbers wait in memory


class Gathering:
    """Counts the steps that wait."""

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps
        self._waiting = 0
        self._began = 0.0

    def full(self, *, now: float, took: float, tensors: int) -> bool:
        """Another step, which took so many seconds, waits: True where they are not to wait for the next one."""
        if not self._waiting:
            self._began = now
        self._waiting += 1
        enough = self._waiting >= min(self.steps, max(1, ROWS // max(tensors, 1)))
        return enough or now - self._began + took > SECONDS

    def empty(self) -> None:
        """None waits any more."""
        self._waiting = 0
