"""How is a training recorded? `with record(model, path, ...) as run:` around the loop, `run.step()` in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, cast

from recorder import adapters
from recorder.analysis.health import Health
from recorder.errors import RecordError
from recorder.probe import AUGMENTATIONS
from recorder.reading import Adapter, Together
from recorder.recording.anomaly import Anomaly
from recorder.recording.board import check
from recorder.recording.checkpoint import Checkpoints
from recorder.recording.flight import FlightRecorder
from recorder.recording.forecast import limit_of
from recorder.recording.player import players
from recorder.recording.presets import Ask, chosen, left_out, probes_of
from recorder.recording.processes import Place, place
from recorder.recording.provenance import model_facts, provenance
from recorder.recording.recording import Recording, inert
from recorder.recording.resume import Resume
from recorder.recording.scalars import EACH_STEP
from recorder.recording.setup import Setup
from recorder.schedule import Schedule


def record(
    model: Any,
    path: str | os.PathLike[str],
    *,
    optimizer: Any = None,
    probe: Any = None,
    instruments: Ask | Sequence[Ask] = "light",
    layers: Any = None,
    checkpoints: Checkpoints | int | Callable[[], Schedule] | None = None,
    meta: Any = None,
    max_size: float | str | None = None,
    strict: bool = False,
    health: Health = Health(),  # noqa: B008  frozen
    flight_recorder: FlightRecorder | int = FlightRecorder(),  # noqa: B008  frozen
    on_anomaly: Callable[[Anomaly], object] | None = None,
    tensorboard: str | os.PathLike[str] | None = None,
    progress: bool = True,
    resume: bool = False,
    step: int | None = None,
    epoch: int | None = None,
    rank: int | None = 0,
) -> Recording:
    """Record the training of `model` (or of a dict of models) into a run file, within a `with` block.

    path         "runs/mlp.h5", or a folder ("runs/") for a run with a name of its own; nothing is ever overwritten
    optimizer    one, a list or a dict of them; None finds those that step the model's parameters
    probe        a batch whose activations are looked at, in eval mode and without a trace in the model: what the model
                 takes, (inputs, labels), a Probe(...) that says more of it, or several by name: {"digits": Probe(...)}
    instruments  presets ("light", "dynamics", "full"), names, instruments, or schedules around them, or a list of these
    layers       names, globs or classes (nn.Conv2d, "Conv2d") of the layers that are probed; None: all that compute
    checkpoints  when weights are saved: 500 (steps), each_epoch, or Checkpoints(every=each_epoch, best="val_accuracy")
    meta         your settings (dict, Namespace, dataclass, OmegaConf), kept with the run
    max_size     bytes ("2GB") that the run may take on disk, checkpoints apart; schedules are thinned to stay below
    strict       raise where an instrument fails, instead of switching it off with a warning
    health       thresholds of the findings that the explorer shows
    flight_recorder
                 how many of the last steps are kept in memory, to go into the run with a checkpoint when the training
                 goes wrong: at a NaN, a spike of the loss, an exploding gradient or an exception
    on_anomaly   called then with an Anomaly, on the training thread, at the end of run.step() or of the block; for a
                 loss that is passed as a number or on the CPU of that very step, otherwise up to 16 steps later
    tensorboard  a folder in which TensorBoard finds the scalars as they are recorded; "tb/" holds a folder for each run
    progress     a line under the training's output, in a terminal only
    resume       go on in the run at `path`, which an earlier process began; where there is none, begin it
    step         with resume: iterations done when your checkpoint was saved, 0 without one; what was recorded from
                 there on is hidden, and kept in the file
    epoch        with resume: epochs completed by then; None: as recorded
    rank         of several processes that train together (torchrun) the one that writes the run; None: each is a
                 training of its own, with a path of its own

    RecordError and RunExistsError are raised here and at `with`; once training runs, nothing of layerscope stops it.
    """
    resuming = Resume.asked(os.fspath(path), resume, step, epoch)
    here = place(rank)
    adapter = adapters.adapter_for(model, optimizer=optimizer, probe=probe, layers=layers)
    together = _together(adapter, here)
    if together is None and not here.writes:
        return inert(os.fspath(path), resuming)
    adapter = together or adapter
    if AUGMENTATIONS in probes_of(instruments):
        adapter.augment()
    leads = together is None or together.leads
    if leads:
        check(tensorboard, resume=resume)
    facts = adapter.facts()
    playing = players(chosen(instruments, facts), facts)
    schedules = {p.name: str(p.schedule) for p in playing}
    limit = limit_of(max_size, [EACH_STEP.series, *(s for player in playing for s in player.series)])
    origin = {
        **provenance(meta), **model_facts(facts, adapter.model()), "schedules": schedules, "max_size": limit,
        "processes": here.size,
    }  # fmt: skip
    setup = Setup(
        adapter,
        facts,
        players=playing,
        meta=origin,
        checkpoints=Checkpoints.of(checkpoints),
        max_size=limit,
        strict=strict,
        health=health,
        progress=progress and leads,
        resume=resuming,
        flight=FlightRecorder.of(flight_recorder),
        on_anomaly=on_anomaly if leads else None,
        tensorboard=tensorboard if leads else None,
        together=together,
        left_out=left_out(instruments, facts),
    )
    return Recording(setup, os.fspath(path))


def _together(adapter: Adapter, here: Place) -> Together | None:
    """The adapter of a training whose tensors have parts in several processes; None where each has all of them."""
    if getattr(adapter, "processes", 0) <= 1:
        return None
    if not here.together:
        raise RecordError(
            "record(rank=None): the tensors are spread over several processes, so none can record them by itself; "
            "leave rank= out, and call record(...) on each of them"
        )
    joined: Together = cast(Any, adapter).together(rank=here.rank, size=here.size, writer=here.writer)
    return joined
