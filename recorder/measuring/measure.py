"""How is a training measured after the fact? Each checkpoint is loaded into the model, and the instruments look at it.

They look at it as they do while a network trains: by the same adapter, with the same series. Their rows become a part
of the run, at the steps of the checkpoints, and stand there in one series with what was recorded live.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recorder import adapters
from recorder.errors import RecordError, RunExistsError
from recorder.measuring import known, probes
from recorder.measuring.checkpoints import Found, Steps, chosen, of_glob, of_run
from recorder.measuring.instruments import Ask, asked, playing, probes_of
from recorder.measuring.model import model_of
from recorder.measuring.work import Outcome, Work
from recorder.probe import AUGMENTATIONS
from recorder.reading import Adapter, Instrument
from recorder.recording.probe_input import probe_input
from recorder.recording.provenance import model_facts, provenance
from recorder.recording.resume import is_there, kept_probes
from recorder.runfile.layout import run_paths
from recorder.runfile.lock import alive, holder
from recorder.runfile.reader import Run
from recorder.runfile.recorded import Recorded


def measure(
    run: str | os.PathLike[str],
    instruments: Ask | Sequence[Ask],
    *,
    model: Any = None,
    data: Any = None,
    checkpoints: str | os.PathLike[str] | None = None,
    steps: Steps = None,
    layers: Any = None,
    probe: str = "",
    key: str = "",
    step_pattern: str = "",
    progress: bool = True,
) -> dict[str, Recorded]:
    """Measure instruments at the checkpoints of a run; their series by name, as they are in the run from then on.

    run          "runs/mlp.h5"; with `checkpoints`, `model` and `data` one that does not exist yet is made
    instruments  names, instruments, "package.module:factory", or a list of these: what looks at a probe, the model or
                 its weights
    model        a model, a function of no arguments that makes one, or where that is: "package.module:factory"; None:
                 of the class that the run recorded, if it can be made without arguments
    data         likewise: inputs, (inputs, labels), a Probe, or a dict of Probes by name; None: the run's own probe
    checkpoints  a glob ("out/*.pth"); None: those that the run saved or was told of
    steps        of which checkpoints: 500, "1000:5000", "last", or several; None: all
    layers       names, globs or classes of the layers that are probed; None: those of the run
    probe        the name of the probe that is looked at; "": the default one
    key          where in the files the weights are that are wanted: "ema"
    step_pattern a regular expression whose first group is the step in a file's name
    progress     a line that says how far it is, in a terminal only

    A checkpoint that does not fit is left out, and the run's events say why. What was measured before is not measured
    again, so an interrupted call can be repeated. RecordError, RunFileError and RunExistsError say what is in the way.
    """
    work = prepared(
        run, asked(instruments, probe=probe), model=model, data=data, checkpoints=checkpoints, steps=steps,
        layers=layers, key=key, step_pattern=step_pattern,
    )  # fmt: skip
    outcome = work.done(progress=progress)
    found = Run.open(outcome.path)
    return {name: found[name] for name in outcome.series if name in found}


def prepared(
    run: str | os.PathLike[str],
    instruments: Sequence[Instrument],
    *,
    model: Any = None,
    data: Any = None,
    checkpoints: str | os.PathLike[str] | None = None,
    steps: Steps = None,
    layers: Any = None,
    key: str = "",
    step_pattern: str = "",
) -> Work:
    """Everything that is to be done; nothing is written yet, and what is in the way is said."""
    path, folder = run_paths(Path(run).expanduser())
    extends = is_there(path, folder)
    if not extends and checkpoints is None:
        raise RecordError(
            f"{path}: there is no run; to make one, give --checkpoints 'folder/*.pth', --model package.module:factory, "
            "--data package.module:factory"
        )
    if alive(folder):
        raise RunExistsError(
            f"{path}: is being recorded by {holder(folder)}; measure it when that has ended, or its checkpoints into a "
            f"run of their own: layerscope measure NEW.h5 ... --checkpoints '{folder}/checkpoints/*'"
        )
    with Run.open(path) if extends else nullcontext() as there:
        found = checkpoints_of(there, checkpoints, step_pattern)
        adapter = _watched(there, instruments, model, data, layers)
        own = adapter.facts()
        facts = probes.placed(own, there)
        players = playing(instruments, facts)
        known.check(there, [s for player in players for s in player.series], key=key)
        measured = {"checkpoints": os.fspath(checkpoints or ""), "key": key, "instruments": [p.name for p in players]}
        kept = kept_probes(there) if there is not None else {}
        return Work(
            path=path,
            meta={**provenance(), **model_facts(facts, adapter.model()), "measured": measured},
            adapter=adapter,
            facts=facts,
            players=players,
            checkpoints=chosen(found.checkpoints, steps),
            before={player.name: known.steps_of(there, player.series) for player in players},
            key=key,
            extends=extends,
            trained=there is not None and not there.newest.declaration.status.measured,
            probe_input=probe_input(adapter, own, kept=kept),
            outcome=Outcome(path, left_out=list(found.left_out)),
        )


def checkpoints_of(run: Run | None, given: str | os.PathLike[str] | None, step_pattern: str) -> Found:
    """Those of a glob, or of the run; RecordError where there are none."""
    if given is not None:
        return of_glob(given, step_pattern=step_pattern, run=run)
    found = of_run(run) if run is not None else Found(())
    if run is not None and not found.checkpoints:
        raise RecordError(
            f"{run.path}: has no checkpoints; give --checkpoints 'folder/*.pth', and the next time record them: "
            "record(..., checkpoints=Checkpoints(every=500))"
        )
    return found


def _watched(run: Run | None, instruments: Sequence[Instrument], model: Any, data: Any, layers: Any) -> Adapter:
    """The adapter of a model that nobody trains."""
    names = probes_of(instruments)
    batches = probes.wanted(names, data, run) if names else {}
    if layers is None and run is not None and batches:
        layers = [layer["name"].partition(":")[0] for layer in run.meta.get("layers", ())] or None
    adapter = adapters.adapter_for(model_of(model, run), optimizer=(), probe=batches or None, layers=layers)
    if not hasattr(adapter, "load"):
        raise RecordError(f"measure: weights cannot be put into a model of {adapter.facts().framework}")
    if AUGMENTATIONS in names and AUGMENTATIONS not in batches:
        adapter.augment()
    return adapter
