"""What did the last steps before an anomaly look like? They are kept in memory, and go into the run when there is one.

Each step is there, also where the schedules of the instruments record few: the numbers of the step, the identifiers of
its batch, and, where they are measured at each step, the gradient norms of all tensors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recorder.errors import RecordError
from recorder.instruments.gradient_norm import GradientNorm
from recorder.reading import Statistic
from recorder.recording.batch import BYTES, Batch
from recorder.recording.ledger import Ledger
from recorder.recording.player import Player, Row
from recorder.runfile.schema import FLIGHT, Kind, Series
from recorder.schedule import Every, Moment

NORMS = GradientNorm.statistics


@dataclass(frozen=True)
class FlightRecorder:
    """What is kept of the last steps, and saved when a training goes wrong.

    steps       how many are kept; 0: none, and no checkpoint either
    norms       also the gradient norm of every tensor at each step, which takes a pass over all gradients;
                None: where the instruments measure it at each step anyway, as those of "dynamics" do
    checkpoint  save the weights at the first anomaly of each kind
    """

    steps: int = 64
    norms: bool | None = None
    checkpoint: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 0:
            raise RecordError(f"FlightRecorder(steps={self.steps!r}): expected a number of steps, or 0 for none")

    @classmethod
    def of(cls, given: FlightRecorder | int) -> FlightRecorder:
        """What `record` was given: a number of steps will do."""
        return given if isinstance(given, FlightRecorder) else cls(given)

    def statistics(self, players: Iterable[Player]) -> frozenset[Statistic]:
        """What is wanted of every update."""
        free = any(isinstance(p.instrument, GradientNorm) and p.schedule == Every(1) for p in players)
        return NORMS if self.steps and (free if self.norms is None else self.norms) else frozenset()


class Step(NamedTuple):
    """One iteration as it was."""

    moment: Moment
    at: float
    numbers: Mapping[str, float]
    batch: Batch | None
    norms: Mapping[str, np.ndarray]  # gradient_norm and gradient_nonfinite, (tensor,); empty without an update


class Flight:
    """The last steps, of which each goes into the run once."""

    def __init__(self, steps: int) -> None:
        self.last: deque[Step] = deque(maxlen=steps)  # each that is made is appended
        self._declared: dict[str, set[str]] = {}
        self._written = -1  # the last step that went into the run

    def batch_of(self, step: int) -> str:
        """What was in the batch of a step; "" where that is not known."""
        return next((s.batch.text for s in self.last if s.moment.step == step and s.batch is not None), "")

    def write(self, ledger: Ledger, tensors: Sequence[str]) -> None:
        """Put what is kept into the run."""
        rows = [(s, _row(s, tensors)) for s in self.last if s.moment.step > self._written]
        ledger.more(self._undeclared([row for _, row in rows]))
        for step, row in rows:
            ledger.row(FLIGHT, row, step.moment, step.at)
            self._written = step.moment.step

    def _undeclared(self, rows: Sequence[Row]) -> list[Series]:
        """What these rows have and no row before had."""
        found = []
        for name, (kind, unit, doc, dtype, item_dim) in _SERIES.items():
            known = self._declared.setdefault(name, set())
            fresh = tuple(dict.fromkeys(item for row in rows for item in row.get(name, ()) if item not in known))
            if fresh:
                known.update(fresh)
                found.append(
                    Series(name, kind, unit, doc, fresh, dtype=dtype, item_dim=item_dim, axis=FLIGHT, instrument=FLIGHT)
                )
        return found


_SERIES = {
    "flight_gradient_norm": (
        Kind.PER_ITEM, "loss / weight", "Euclidean norm of the tensor's gradient at each step before an anomaly.",
        "float32", "tensor",
    ),
    "flight_gradient_nonfinite": (
        Kind.PER_ITEM, "count", "Entries of the gradient that are NaN or infinite, at each step before an anomaly.",
        "uint32", "tensor",
    ),
    "flight_scalars": (
        Kind.PER_ITEM, "", "Numbers of each step before an anomaly.", "float64", "scalar",
    ),
    "flight_batch": (
        Kind.TABLE, "", "What identifies the samples of each batch before an anomaly.", f"S{BYTES}", "field",
    ),
}  # fmt: skip


def _row(step: Step, tensors: Sequence[str]) -> dict[str, Any]:
    """{series: {item: value}} of what is known of a step."""
    row: dict[str, Any] = {"flight_scalars": dict(step.numbers)}
    for name, column in step.norms.items():
        row[f"flight_{name}"] = dict(zip(tensors, column, strict=False))
    if step.batch is not None:
        row["flight_batch"] = {"batch": step.batch.text.encode()}
    return row
