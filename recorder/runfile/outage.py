"""What is said of a disk that does not take rows? What waits for it in memory, and what had to be dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

PENDING_BYTES = 32 << 20  # of rows that may wait for the disk; with it the recorder grows by less than 64 MiB


@dataclass
class Dropped:
    """Rows of one axis that are nowhere."""

    rows: int
    first: int  # steps
    last: int

    def text(self, axis: str) -> str:
        where = f"at step {self.first}" if self.first == self.last else f"between steps {self.first} and {self.last}"
        return f"{self.rows} row{'s' if self.rows > 1 else ''} of axis {axis!r} {where}"


@dataclass
class Losses:
    """All that were dropped, by axis."""

    axes: dict[str, Dropped] = field(default_factory=dict)

    def add(self, axis: str, first: int, last: int, rows: int = 1) -> None:
        known = self.axes.setdefault(axis, Dropped(0, first, last))
        known.rows, known.first, known.last = known.rows + rows, min(known.first, first), max(known.last, last)

    def __bool__(self) -> bool:
        return bool(self.axes)

    def __str__(self) -> str:
        return ", ".join(dropped.text(axis) for axis, dropped in self.axes.items())


@dataclass
class Outage:
    """From the first row that the disk did not take until it takes them again."""

    reason: str
    step: int  # when it began
    losses: Losses = field(default_factory=Losses)

    def warning(self, axis: str, row_bytes: int) -> str:
        """Once, to the user."""
        rows = max(1, PENDING_BYTES // row_bytes)
        return (
            f"{self.reason}. The training goes on: from step {self.step} on, rows that cannot be written are kept in "
            f"memory, up to {PENDING_BYTES >> 20} MB (about {rows:,} rows of axis {axis!r}), and written as soon as "
            "that is possible; those beyond are dropped and counted"
        )

    def over(self, step: int) -> str:
        """When it is."""
        return f"rows of steps {self.step} to {step} waited in memory and are written now ({self.reason})"
