"""Record what happens inside a network while it trains.

with record(model, "runs/mlp.h5", optimizer=optimizer, probe=images) as run:
    for x, y in loader:
        run.step(loss=train_step(x, y))

run = open_run("runs/mlp.h5")

Names are loaded when first used: importing this package imports neither a framework nor h5py.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recorder import instruments as instruments
    from recorder import loops as loops
    from recorder.analysis.classification import classification as classification
    from recorder.analysis.health import Health as Health
    from recorder.measuring.measure import measure as measure
    from recorder.notebook import open_run as open_run
    from recorder.probe import Probe as Probe
    from recorder.recording.anomaly import Anomaly as Anomaly
    from recorder.recording.checkpoint import Checkpoints as Checkpoints
    from recorder.recording.flight import FlightRecorder as FlightRecorder
    from recorder.recording.record import record as record
    from recorder.recording.recording import Recording as Recording
    from recorder.schedule import at_end as at_end
    from recorder.schedule import each_epoch as each_epoch
    from recorder.schedule import epoch_ends as epoch_ends
    from recorder.schedule import every as every
    from recorder.schedule import pairs as pairs

_HOMES = {
    "Anomaly": "recorder.recording.anomaly",
    "Checkpoints": "recorder.recording.checkpoint",
    "FlightRecorder": "recorder.recording.flight",
    "Health": "recorder.analysis.health",
    "Probe": "recorder.probe",
    "Recording": "recorder.recording.recording",
    "at_end": "recorder.schedule",
    "classification": "recorder.analysis.classification",
    "each_epoch": "recorder.schedule",
    "epoch_ends": "recorder.schedule",
    "every": "recorder.schedule",
    "measure": "recorder.measuring.measure",
    "open_run": "recorder.notebook",
    "pairs": "recorder.schedule",
    "record": "recorder.recording.record",
}

__all__ = [*_HOMES, "instruments", "loops"]


def __getattr__(name: str) -> Any:
    if name in ("instruments", "loops"):
        return import_module(f"recorder.{name}")
    if name in _HOMES:
        globals()[name] = value = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module 'recorder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
