"""How large will the run become, and what has to be thinned so that it stays under a limit?"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.schedule import Schedule

STAGES = 24


@dataclass(frozen=True)
class Forecast:
    """Bytes on disk as a function of the training's length, before compression and without checkpoints."""

    rows: tuple[tuple[Schedule, int], ...] = ()  # (schedule, bytes of one row of its axis)

    @property
    def per_step(self) -> float:
        return sum(schedule.rates[0] * size for schedule, size in self.rows)

    @property
    def per_epoch(self) -> float:
        return sum(schedule.rates[1] * size for schedule, size in self.rows)

    def bytes(self, *, steps: int, epochs: int = 0) -> float:
        return steps * self.per_step + epochs * self.per_epoch

    def __str__(self) -> str:
        text = f"about {size(self.bytes(steps=10_000))} per 10,000 steps"
        return text + (f" and {size(self.per_epoch)} per epoch" if self.per_epoch else "")


@dataclass
class Budget:
    """Thins all schedules so that the rows do not outgrow `max_size`, however long the training lasts.

    A quarter of the limit is filled at the full rate; then the rate is halved at each further 32nd, so that every
    doubling of the training's length has its share. That lasts for 2^24 times the first stretch.
    """

    max_size: int | None
    used: int = 0
    stage: int = 0

    @property
    def thin(self) -> int:
        """One occurrence of a schedule in so many is kept."""
        return 1 << (self.stage if self.stage <= STAGES else 62)

    def spend(self, bytes: int) -> bool:
        """Count a row's bytes; True when the schedules were just thinned."""
        self.used += bytes
        before = self.stage
        while self.max_size is not None and self.stage <= STAGES and self.used > self.max_size * (8 + self.stage) / 32:
            self.stage += 1
        return self.stage > before


def size(bytes: float) -> str:
    """1234567 -> "1.2 MB"; decimal units, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes < 1000:
            return f"{bytes:.0f} {unit}" if unit == "B" or bytes >= 10 else f"{bytes:.1f} {unit}"
        bytes /= 1000
    return f"{bytes:.1f} TB"


def duration(seconds: float) -> str:
    """0.00012 -> "0.12 ms"."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-5 else f"{seconds * 1e3:.2g} ms"
