"""What is in this run, in plain numbers? For `layerscope info --json` and whoever asks in a script."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recorder.runfile.reader import Run
from recorder.runfile.schema import Series


def describe(run: Run) -> dict[str, Any]:
    """Everything but the numbers themselves, as JSON can hold it."""
    return {
        "path": str(run.path.absolute()),
        "name": run.name,
        "state": str(run.state),
        "error": run.error,
        "started": run.started,
        "ended": run.ended,
        "steps": run.steps,
        "epochs": run.epochs,
        "bytes": run.size,
        "parts": run.parts,
        "bytes_per_1000_steps": _rate(run),
        "axes": run.axes,
        "series": [_series(run, s) for s in run.series.values()],
        "events": [asdict(event) for event in run.events],
        "meta": run.meta,
    }


def _series(run: Run, s: Series) -> dict[str, Any]:
    clock = run.clock(s.name, s.items[0]) if s.items else run.clock(s.name)
    return {
        "name": s.name,
        "kind": str(s.kind),
        "unit": s.unit,
        "doc": s.doc,
        "axis": s.axis,
        "instrument": s.instrument,
        "item_dim": s.item_dim,
        "items": list(s.items),
        "shape": [list(shape) for shape in s.ragged] if s.ragged else list(s.shape),
        "dims": list(s.dims),
        "dtype": s.dtype,
        "rows": len(clock),
        "first_step": int(clock.step[0]) if len(clock) else None,
        "last_step": int(clock.step[-1]) if len(clock) else None,
        "row_bytes": s.row_bytes,
        "bytes": run.bytes_of(s.name),
    }


def _rate(run: Run) -> int:
    """How fast the run grows: bytes of rows a thousand steps, before compression."""
    rows = sum(s.row_bytes * len(run.clock(s.name, s.items[0] if s.items else None)) for s in run.series.values())
    return round(1000 * rows / run.steps) if run.steps else 0
