"""What is in this run, in plain numbers? For `layerscope info --json` and whoever asks in a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from recorder.runfile.footprint import footprints
from recorder.runfile.left_out import left_out
from recorder.runfile.processes import OF_THE_MODEL, Process
from recorder.runfile.reader import Run
from recorder.runfile.schema import FLIGHT, Series
from recorder.view import Window

TIMES = ("step_time", "overhead_time")  # scalars of each step


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
        "bytes_per_1000_steps": round(1000 * rate(run)),
        "max_size": run.meta.get("max_size"),
        "cost": cost(run),
        "left_out": [asdict(one) for one in left_out(run.events)],
        "axes": run.axes,
        "series": [_series(run, s) for s in run.series.values()],
        "events": [asdict(event) for event in run.events],
        "processes": [_process(process) for process in run.processes],
        "meta": run.meta,
    }


def _process(p: Process) -> dict[str, Any]:
    """Who trained, without the lists of what the model has, which are in the run's own `meta`."""
    return {**asdict(p), "state": str(p.state), "meta": {k: v for k, v in p.meta.items() if k not in OF_THE_MODEL}}


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
        "how_often": how_often(run, s),
        "without_value": without_value(run, s),
    }


def cost(run: Run) -> dict[str, float] | None:
    """Mean seconds a step of the training and of the recorder, where they were recorded."""
    if not all(name in run for name in TIMES):
        return None
    training, own = (float(run.window("scalars", Window(points=1), name).mean.sum()) for name in TIMES)
    return {"step_time": training, "overhead_time": own, "share": own / training} if training > 0 else None


def without_value(run: Run, s: Series) -> int | None:
    """How many entries are NaN or infinite, where a row is one real number an item."""
    if s.shape or s.ragged or np.dtype(s.dtype).kind != "f" or not s.items:
        return None
    return int(run.window(s.name, Window(points=1)).nonfinite.sum())


def how_often(run: Run, s: Series) -> str:
    """The schedule, as in "2 of 10 steps"; the name of its axis in a run that does not say."""
    schedules = run.meta.get("schedules")
    known = schedules.get(s.instrument) if isinstance(schedules, Mapping) else None
    return str(known or {"step": "each step", "epoch": "each epoch"}.get(s.axis, s.axis.replace("_", " ")))


def rate(run: Run) -> float:
    """Bytes a step by which the run grew, before compression."""
    rows = sum(
        volume.count(axis) * footprint.row
        for volume in run.volumes
        for axis, footprint in footprints(volume.series.values()).items()
        if axis != FLIGHT
    )
    return rows / run.steps if run.steps else 0.0
