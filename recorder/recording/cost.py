"""How much of a step's time is the training's, and how much the recorder's own?"""

from __future__ import annotations

from time import perf_counter
from typing import Any


class Cost:
    """Two clocks: one runs in the user's loop, the other while the recorder works."""

    def __init__(self) -> None:
        self.training = 0.0  # seconds, summed over all iterations
        self.own = 0.0
        self._since = 0.0  # when the recorder last gave control back
        self._entered = 0.0
        self._training_now = 0.0  # of this iteration
        self._own_now = 0.0

    def begin(self) -> None:
        """The block is entered: the first iteration begins."""
        self._since = perf_counter()

    def enter(self) -> None:
        """The user called the recorder."""
        self._entered = perf_counter()
        self._training_now += self._entered - self._since

    def leave(self) -> None:
        """The recorder returns to the user."""
        self._since = perf_counter()
        self._own_now += self._since - self._entered

    def iteration(self, adapter: Any, samples: float | None) -> dict[str, float]:
        """The scalars of the iteration that ends now; its own time includes what the last `run.step()` took."""
        inside = float(adapter.take_seconds()) if hasattr(adapter, "take_seconds") else 0.0  # in the optimizer's hook
        training, own = max(self._training_now - inside, 1e-9), self._own_now + inside
        self.training += training
        self.own += own
        self._training_now = self._own_now = 0.0
        timing = {"step_time": training, "overhead_time": own}
        return timing if samples is None else {**timing, "samples_per_second": samples / training}
