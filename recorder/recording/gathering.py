"""How many steps may wait to be read together?

After a training step the processor's caches hold the network, not the recorder: what takes 20 us in a row takes 200 us
by itself. So the steps of a fast loop are read, judged and written a few at a time. What waits is in memory only: a
process that is killed loses these steps, so there are few of them and they are young; a slow loop waits for nothing.
"""

from __future__ import annotations

STEPS = 16
SECONDS = 0.1
ROWS = 4096  # steps x tensors, whose numbers wait in memory


def enough(waiting: int, *, age: float, took: float, tensors: int) -> bool:
    """Whether so many steps wait for no other; the first is `age` seconds old, and the last one took so many."""
    return waiting >= min(STEPS, max(1, ROWS // max(tensors, 1))) or age + took > SECONDS
