"""What was `record` asked for? Everything resolved, before the run begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recorder.analysis.health import Health
from recorder.reading import Adapter, Facts, Together
from recorder.recording.anomaly import Anomaly
from recorder.recording.checkpoint import Checkpoints
from recorder.recording.flight import FlightRecorder
from recorder.recording.player import Player
from recorder.recording.resume import Resume


@dataclass(frozen=True)
class Setup:
    """The arguments of `record`; see there."""

    adapter: Adapter
    facts: Facts
    players: tuple[Player, ...] = ()
    meta: Mapping[str, Any] | None = None
    checkpoints: Checkpoints | None = None
    max_size: int | None = None
    strict: bool = False
    health: Health = Health()  # noqa: RUF009  frozen
    progress: bool = True
    resume: Resume | None = None
    flight: FlightRecorder = FlightRecorder()  # noqa: RUF009  frozen
    on_anomaly: Callable[[Anomaly], object] | None = None
    tensorboard: str | os.PathLike[str] | None = None
    together: Together | None = None  # the adapter, where other processes have parts of the tensors
    left_out: tuple[str, ...] = ()  # instruments that need whole ones then
