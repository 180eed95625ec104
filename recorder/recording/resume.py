"""Where does a training that is resumed go on in its run, and what becomes of what was recorded behind that?

The user's checkpoint says at which step. What an earlier process recorded from that step on stays in the file and is
hidden; where nothing was recorded yet the run begins, so that a script that is queued again and again needs no branch.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recorder.analysis.health import Judged, findings
from recorder.charting.captions import many
from recorder.charting.kept_inputs import probe_facts
from recorder.errors import LayerscopeError, RecordError
from recorder.probe import is_input
from recorder.runfile.layout import log_of, part_of, run_paths
from recorder.runfile.reader import Run
from recorder.schedule import Moment
from recorder.view import Envelope, Window

JUDGED = ("weight_norm", "gradient_norm")


@dataclass(frozen=True)
class Resume:
    """What the user said: iterations done when the checkpoint was saved, and epochs (None: as the run says)."""

    step: int
    epoch: int | None = None

    @classmethod
    def asked(cls, path: str, resume: bool, step: Any, epoch: Any) -> Resume | None:
        """The arguments of `record`; RecordError where they do not go together."""
        if not resume:
            if step is not None or epoch is not None:
                raise RecordError("record: step= and epoch= say where a training is resumed; give resume=True too")
            return None
        if step is None:
            raise RecordError(
                "record(resume=True): give step= too: the iterations that were done when your checkpoint was saved "
                "(run.steps), and 0 where there is none yet"
            )
        if is_folder(path):
            raise RecordError(
                f"record(resume=True): {path} is a folder, in which each run gets a new name; give the run's own, as "
                f"in {os.path.join(path, 'mlp.h5')!r}"
            )
        return cls(_count("step", step), None if epoch is None else _count("epoch", epoch))


@dataclass(frozen=True)
class Start:
    """Where a recording begins."""

    moment: Moment = Moment(0, epoch_begins=True)  # noqa: RUF009  a tuple
    extends: bool = False  # there is something at its path
    resumed: int | None = None  # for the file: older rows from here on are hidden
    said: str = ""  # of what is hidden or missing, as an event
    doubt: str = ""  # as a warning
    scalars: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # step, epoch -> as given -> as recorded
    judged: Judged = Judged()  # noqa: RUF009  frozen
    probes: Mapping[str, str] = field(default_factory=dict)  # whose inputs are kept already -> their digest


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether runs are put in here, under names of their own."""
    return os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir()


def start_of(path: Path, resume: Resume | None, *, remember: int = 0) -> Start:
    """Where the recording at NAME.h5 begins; RecordError where the run there cannot be continued.

    Health remembers so many rows of what was judged before.
    """
    if resume is None:
        return Start()
    main, folder = run_paths(path)
    if not is_there(main, folder):
        return _begun(resume, extends=folder.exists())
    try:
        with Run.open(main, trusted=True) as run:
            return _continued(run, resume, remember)
    except (LayerscopeError, OSError) as error:
        raise RecordError(
            f"{main}: cannot be resumed: {error}. Move it away, or choose another path. Nothing was touched"
        ) from error


def _begun(resume: Resume, *, extends: bool) -> Start:
    step, epoch = resume.step, resume.epoch or 0
    if not step:
        return Start(Moment(0, epoch, epoch_begins=True), extends)
    # How many updates there were is not known; schedules count them, so their phase may differ.
    moment = Moment(step, epoch, updates=step, epoch_begins=True)
    return Start(moment, extends, step, f"begins at step {step:,}; nothing is recorded of the steps before")


def _continued(run: Run, resume: Resume, remember: int) -> Start:
    step, steps = resume.step, run.steps
    epoch = run.epochs_at(step) if resume.epoch is None else resume.epoch
    begins = step == 0 or epoch > run.epochs_at(step - 1)
    said, doubt = f"at step {step:,}", ""
    if steps > step:
        said += f"; {many(steps - step, 'step recorded before is', 'steps recorded before are')} hidden"
    elif steps < step and not any(event.kind == "thinned" for event in run.events):
        missing = f"steps {steps:,} to {step - 1:,} were" if step > steps + 1 else f"step {steps:,} was"
        said += f"; {missing} not recorded"
        doubt = f"{run.path}: resumed {said}; step= is what run.steps was when the checkpoint was saved"
    scalars = _scalars(run)
    judged = _judged(run, step, scalars["step"], remember)
    moment = Moment(step, epoch, updates=step, epoch_begins=begins)
    return Start(moment, True, step, said, doubt, scalars, judged, kept_probes(run))


def _judged(run: Run, stop: int, names: Mapping[str, str], rows: int) -> Judged:
    """What health has found before this step, and the last rows that it remembers of what it looks at."""
    norms: dict[int, dict[str, dict[str, float]]] = {}
    for series in JUDGED:
        if series in run.series:
            e = _last(run, series, stop, rows)
            for step, row in zip(e.step.tolist(), e.mean, strict=True):
                norms.setdefault(step, {})[series] = dict(zip(run.series[series].items, row.tolist(), strict=True))
    losses = {given: _last(run, "scalars", stop, rows, name).mean for given, name in names.items() if "loss" in given}
    finite = {name: values[np.isfinite(values)].tolist() for name, values in losses.items()}
    return Judged(findings(e for e in run.events if e.step < stop), tuple(sorted(norms.items())), finite)


def _last(run: Run, series: str, stop: int, rows: int, item: str | None = None) -> Envelope:
    """The last rows before a step, each as it is."""
    steps = run.clock(series, item).step
    steps = steps[steps < stop][-rows:]
    return run.window(series, Window(int(steps[0]) if len(steps) else stop, stop - 1, max(rows, 1)), item)


def kept_probes(run: Run) -> dict[str, str]:
    """The digests of the probes whose inputs are kept."""
    kept = {item.partition("/")[0] for name, s in run.series.items() if is_input(name) for item in s.items}
    return {name: facts.digest for name in kept if (facts := probe_facts(run, name)) is not None}


def _scalars(run: Run) -> dict[str, dict[str, str]]:
    """Under which names the scalars of steps and of epochs were recorded."""
    names: dict[str, dict[str, str]] = {"step": {}, "epoch": {}}
    for volume in run.volumes:
        if (s := volume.series.get("scalars")) is not None:
            where = "epoch" if s.axis.startswith("epoch") else "step"
            names[where] |= {name.removeprefix(f"{where}/"): name for name in s.items}
    return names


def is_there(main: Path, folder: Path) -> bool:
    names = os.listdir(folder) if folder.is_dir() else ()
    return main.exists() or any(part_of(name) is not None or log_of(name) is not None for name in names)


def _count(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise RecordError(f"record({name}={value!r}): expected a whole number that is not negative") from None
    return number
