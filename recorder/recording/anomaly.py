"""Which anomalies has a training had, each kind once: what went wrong, when, and which tensors went bad first?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recorder.analysis.first_bad import first_bad
from recorder.analysis.health import Finding
from recorder.charting.events import said

NAMED = 4  # tensors, in the run's event


@dataclass(frozen=True)
class Anomaly:
    """What `on_anomaly` is told."""

    kind: str  # "not_finite", "exploding", "loss_spike", "exception"
    step: int  # the first bad one
    text: str
    tensors: tuple[str, ...] = ()  # those that are known to have gone bad so far, the first one first
    batch: str = ""  # what identifies the samples of that step, as given to run.step(batch=)
    checkpoint: Path | None = None  # of the weights after that step

    @property
    def sentence(self) -> str:
        """As in "step 105: not finite in loss; bad first: fc2.weight; weights in anomaly-step-000106.pth"."""
        few = ", ".join(self.tensors[:NAMED]) + (f" and {len(self.tensors) - NAMED} more" * (len(self.tensors) > NAMED))
        first = f"; bad first: {few}" if self.tensors else ""
        saved = f"; weights in {self.checkpoint.name}" if self.checkpoint is not None else ""
        return f"step {self.step:,}: {self.text}{first}{saved}"


class Alarms:
    """The findings so far that are anomalies."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._found: list[Finding] = []

    def raised(self, findings: Iterable[Finding], tensors: Sequence[str]) -> list[Anomaly]:
        """An anomaly for each kind of finding that was not met before; `tensors` are those of the model, in order."""
        news: dict[str, list[Finding]] = {}
        for finding in findings:
            self._found.append(finding)
            if finding.finding not in self._kinds:
                news.setdefault(finding.finding, []).append(finding)
        self._kinds.update(news)
        return [
            Anomaly(kind, found[0].step, _sentence(found, tensors), tuple(first_bad(self._found, tensors)))
            for kind, found in news.items()
        ]

    def exception(self, step: int, text: str, tensors: Sequence[str]) -> Anomaly:
        """The block is left by an exception, within the iteration at `step`."""
        return Anomaly("exception", step, text, tuple(first_bad(self._found, tensors)))


def _sentence(found: Sequence[Finding], tensors: Sequence[str]) -> str:
    """The loss is told of before the tensors, and of those the one that went bad first."""
    loss = next((f for f in found if "loss" in f.item), None)
    first = loss or next(iter(first_bad(found, tensors).values()), found[0])
    return said(first) + (f", and {len(found) - 1} more" if len(found) > 1 else "")
