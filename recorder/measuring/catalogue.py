"""Which instruments can be measured on this run, and what do the others lack? Told without loading a framework."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recorder.charting.captions import many
from recorder.errors import RecordError
from recorder.instruments import INSTRUMENTS
from recorder.measuring import known, probes
from recorder.measuring.checkpoints import Checkpoint, Steps, chosen, of_glob, of_run
from recorder.measuring.instruments import lacking
from recorder.measuring.model import GIVE, cannot_make
from recorder.reading import Need
from recorder.recording.resume import is_there
from recorder.runfile.layout import run_paths
from recorder.runfile.reader import Run

WIDTH = 100
NO_CHECKPOINTS = "none; give --checkpoints 'folder/*.pth', and the next time record(..., checkpoints=Checkpoints(500))"


def catalogue(
    run: str | os.PathLike[str],
    *,
    model: Any = None,
    data: Any = None,
    checkpoints: str | None = None,
    steps: Steps = None,
    step_pattern: str = "",
) -> str:
    """What there is to measure with, then every instrument."""
    path, folder = run_paths(Path(run).expanduser())
    with Run.open(path) if is_there(path, folder) else nullcontext() as there:
        found, where = _checkpoints(there, checkpoints, step_pattern)
        found = chosen(found, steps) if found else ()
        span = f"{found[0].step:,} to {found[-1].step:,}" if found else ""
        has_model, said_model = _model(there, model)
        has_data, said_data = _data(there, data)
        told = [
            ("checkpoints", f"{len(found):,}, of steps {span}: {where}" if found else where),
            ("model", said_model),
            ("data", said_data),
        ]
        lines = [f"{path}", *(f"  {name:12} {text}" for name, text in told), ""]
        width = max(len(one.name) for one in INSTRUMENTS)
        for one in INSTRUMENTS:
            if not lacking(one()):
                lacks = list(_lacks(one, bool(found), has_model, has_data))
                text = f"lacks {' and '.join(lacks)}" if lacks else _measured(there, one.name, found)
                lines.append(f"  {one.name:{width}}  {text}")
    others = ", ".join(one.name for one in INSTRUMENTS if lacking(one()))
    text = f"What looks at updates, of which a checkpoint holds nothing, is recorded while a network trains: {others}"
    return "\n".join([*lines, "", *textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")])


def _lacks(instrument: Any, checkpoints: bool, model: bool, data: bool) -> Iterator[str]:
    if not checkpoints:
        yield "checkpoints"
    if not model:
        yield "a model"
    if Need.PROBE in instrument.needs and not data:
        yield "data"


def _measured(run: Run | None, name: str, checkpoints: tuple[Checkpoint, ...]) -> str:
    """How many checkpoints are left."""
    series = [] if run is None else [s for s in run.series.values() if s.instrument == name]
    steps = known.steps_of(run, series) & {c.step for c in checkpoints}
    if not steps:
        return f"can be measured at {many(len(checkpoints), 'checkpoint', 'checkpoints')}"
    if len(steps) == len(checkpoints):
        return "is in the run at every checkpoint"
    return f"can be measured at {len(checkpoints) - len(steps)} of {len(checkpoints)} checkpoints; has the others"


def _checkpoints(run: Run | None, given: str | None, step_pattern: str) -> tuple[tuple[Checkpoint, ...], str]:
    if given is not None:
        try:
            return of_glob(given, step_pattern=step_pattern, run=run).checkpoints, given
        except RecordError as problem:
            return (), f"none: {problem}"
    found = of_run(run).checkpoints if run is not None else ()
    return found, f"{found[0].path.parent}" if found else NO_CHECKPOINTS


def _model(run: Run | None, given: Any) -> tuple[bool, str]:
    """Whether there is one, and what there is to say of it."""
    if given is not None:
        return True, str(given)
    recorded = None if run is None else run.meta.get("model")
    if why := "a run that does not exist yet has none" if run is None else cannot_make(recorded):
        return False, f"none: {why}; {GIVE}"
    names = recorded if isinstance(recorded, str) else ", ".join(f"{n} {one}" for n, one in (recorded or {}).items())
    return True, f"{names}, as recorded, if it can be made without arguments"


def _data(run: Run | None, given: Any) -> tuple[bool, str]:
    if given is not None:
        return True, str(given)
    recorded = probes.recorded(run)
    kept = [name for name in recorded if run is not None and probes.stored(run, name) is not None]
    if not kept:
        why = f"the run keeps nothing of what its probe {next(iter(recorded))!r} asks" if recorded else "no probe"
        return (
            False,
            f"none: {why}; give --data package.module:factory, which makes inputs, (inputs, labels) or a Probe",
        )
    each = (f"{name} ({many(recorded[name].samples, 'sample', 'samples')})" for name in kept)
    return True, f"of the run: {', '.join(each)}"
