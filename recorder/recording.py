"""How is a training recorded? `with record(model, path, ...) as run:` around the loop, `run.step()` in it.

Steps count from 0. `run.step()` ends iteration t; its row describes the network after t updates: gradients and weights
are those at w_t, before update t, and an update is w_t - w_{t-1}. `epoch` counts the epochs that are completed.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

from recorder import adapters
from recorder.analysis.health import Health, Monitor
from recorder.checkpoint import Checkpointer, Checkpoints
from recorder.conductor import Conductor, Player, players
from recorder.cost import Cost
from recorder.errors import LayerscopeError, RecordError
from recorder.forecast import Forecast
from recorder.ledger import Ledger
from recorder.naming import writer_at
from recorder.presets import Ask, chosen
from recorder.provenance import model_facts, provenance
from recorder.reading import Adapter, Collected, Facts, Need, Plan
from recorder.runfile.schema import State
from recorder.runfile.writer import RunWriter
from recorder.scalars import is_number
from recorder.schedule import Moment, every
from recorder.summary import ProgressLine, Summary
from recorder.unwatched import Unwatched
from recorder.warning import warn

SUFFIXES = {"keras": ".weights.h5", "numpy": ".npz"}  # of checkpoints; torch and others ".pth"


def record(
    model: Any,
    path: str | os.PathLike[str],
    *,
    optimizer: Any = None,
    probe: Any = None,
    instruments: Ask | Sequence[Ask] = "light",
    layers: Any = None,
    checkpoints: Checkpoints | None = None,
    meta: Any = None,
    max_size: float | None = None,
    strict: bool = False,
    health: Health = Health(),  # noqa: B008  frozen
    progress: bool = True,
) -> Recording:
    """Record the training of `model` (or of a dict of models) into a run file, within a `with` block.

    path         "runs/mlp.h5", or a folder ("runs/") for a run with a name of its own; nothing is ever overwritten
    optimizer    one, a list or a dict of them; None finds those that step the model's parameters
    probe        a batch whose activations are looked at, in eval mode and without a trace in the model
    instruments  presets ("light", "full"), names, instruments, or schedules around them, or a list of these
    layers       names, globs or classes of the layers that are probed; None: all that compute
    checkpoints  when weights are saved: Checkpoints(every=500), Checkpoints(every=each_epoch, best="val_accuracy")
    meta         your settings (dict, Namespace, dataclass, OmegaConf), kept with the run
    max_size     bytes that the rows may take; schedules are thinned to stay below, training never stops for it
    strict       raise where an instrument fails, instead of switching it off with a warning
    health       thresholds of the findings that the explorer shows
    progress     a line under the training's output, in a terminal only

    RecordError and RunExistsError are raised here and at `with`; once training runs, nothing of layerscope stops it.
    """
    adapter = adapters.adapter_for(model, optimizer=optimizer, probe=probe, layers=layers)
    facts = adapter.facts()
    playing = players(chosen(instruments, facts), facts)
    options = Options(checkpoints, None if max_size is None else int(max_size), strict, health, progress)
    meta = {
        **provenance(meta),
        **model_facts(facts),
        "schedules": {p.instrument.name: str(p.schedule) for p in playing},
    }
    return Recording(adapter, facts, playing, os.fspath(path), meta, options)


@dataclass(frozen=True)
class Options:
    """What `record` was asked for beside what it records."""

    checkpoints: Checkpoints | None = None
    max_size: int | None = None
    strict: bool = False
    health: Health = Health()  # noqa: RUF009  frozen
    progress: bool = True


@dataclass(frozen=True)
class _Iteration:
    """One iteration of the user's loop whose numbers may still be on their way from the device."""

    moment: Moment
    at: float
    due: tuple[Player, ...]
    given: tuple[str, ...]  # names of the user's scalars
    timing: Mapping[str, float]
    collect: Callable[[], Collected]


class Recording:
    """A training being recorded; `with` gives it, `step` and `epoch` feed it, `print` shows it."""

    def __init__(
        self, adapter: Adapter, facts: Facts, playing: Sequence[Player], path: str, meta: Mapping[str, Any],
        options: Options,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self._asked = path
        self._adapter = adapter
        self._facts = facts
        self._meta = meta
        self._options = options
        self._conductor = Conductor(playing, self._note, strict=options.strict)
        self._moment = Moment(0, epoch_begins=True)
        self._iterations: deque[_Iteration] = deque()
        self._ledger: Ledger | None = None
        self._checkpointer: Checkpointer | None = None
        self._progress: ProgressLine | None = None
        self._pid = 0  # of the process that records; others hold an inert copy
        self._closed = False
        self._off = False
        self._cost = Cost()
        self._warned: set[str] = set()

    # -- what the user calls

    def step(self, *, loss: Any = None, samples: int | None = None, **scalars: Any) -> None:
        """End one iteration of the training loop; `samples` is the size of its batch, `scalars` any numbers of it.

        A tensor on the GPU is fine and costs no wait. Names may come at any time, also first at step 500.
        """
        if (ledger := self._open("step")) is None:
            return
        self._cost.enter()
        try:
            self._end_iteration(ledger, samples, scalars if loss is None else {"loss": loss, **scalars})
        except Exception as problem:
            self._give_up(problem, strict=self._options.strict)
        self._cost.leave()

    def epoch(self, **scalars: Any) -> None:
        """End an epoch: validation results and the like; what is due each epoch is measured now."""
        if (ledger := self._open("epoch")) is None:
            return
        self._cost.enter()
        try:
            self._end_epoch(ledger, scalars)
        except Exception as problem:
            self._give_up(problem, strict=self._options.strict)
        self._cost.leave()

    def event(self, kind: str, text: str) -> None:
        """Note something that happened now: run.event("note", "new data set")."""
        if self._open("event") is not None:
            self._note(kind, text, self._moment)

    def phase(self, name: str) -> None:
        """Say that a phase begins now: run.phase("fine-tuning")."""
        if self._open("phase") is not None:
            self._note("phase", name, self._moment)

    def checkpoint(self) -> Path | None:
        """Save the weights now, whatever the schedule; the file's path, or None where that failed."""
        if (ledger := self._open("checkpoint")) is None:
            return None
        self._cost.enter()
        path = self._save(ledger)
        self._cost.leave()
        return path

    @property
    def steps(self) -> int:
        """Iterations completed."""
        return self._moment.step

    @property
    def summary(self) -> Summary:
        """What is recorded, how often, what it costs and how large the run becomes."""
        ledger, axes = self._ledger, {p.axis: p.schedule for p in self._conductor.players} | {"step": every(1)}
        return Summary(
            path=self.path,
            players=self._conductor.players,
            scalars=ledger.scalars.names("step") if ledger else (),
            forecast=Forecast(tuple((rule, ledger.writer.row_bytes(a) if ledger else 0) for a, rule in axes.items())),
            steps=self.steps,
            epochs=self._moment.epoch,
            step_time=self._cost.training / max(1, self.steps),
            overhead=self._cost.own / max(1, self.steps),
            written=ledger.budget.used if ledger else 0,
            loss=ledger.latest.get("loss") if ledger else None,
            max_size=self._options.max_size,
        )

    def __rich__(self) -> Summary:
        return self.summary

    def __str__(self) -> str:
        return str(self.summary)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "recording" if self._ledger else "not begun"
        return f"Recording({str(self.path)!r}, {self.steps} steps, {self._moment.epoch} epochs, {state})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A data set that holds the run is copied to spawned workers: they get one that records nothing.
        return _inert_copy, (str(self.path),)

    # -- the block

    def __enter__(self) -> Recording:
        if self._ledger is not None:
            raise RecordError(f"{self.path}: this recording was already used; call record(...) again")
        writer = writer_at(self._asked, meta=self._meta)
        self.path, self._pid = writer.path, os.getpid()
        players = self._conductor.players
        try:
            layers, samples = self._facts.layers, self._facts.probe_samples
            monitor = Monitor(
                self._options.health,
                units={layer.name: layer.units for layer in layers},
                numbers={layer.name: samples * prod(layer.shape) for layer in layers},
            )
            self._ledger = Ledger(writer, tuple(s for p in players for s in p.series), monitor, self._options.max_size)
            if self._options.checkpoints is not None:
                self._checkpointer = self._new_checkpointer(writer, self._options.checkpoints)
            self._adapter.attach(self._plan)
            self._between(self._ledger)
            self._progress = ProgressLine(self._options.progress)
        except BaseException as problem:
            self._leave(State.FAILED, _said(problem))
            raise
        self._cost.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid != os.getpid() or self._closed or self._ledger is None:
            return
        well = problem is None or (isinstance(problem, SystemExit) and problem.code in (None, 0))
        state, error = (State.DONE, "") if well or problem is None else (State.FAILED, _said(problem))
        try:
            if not self._off:
                self._finish(self._ledger, well=well)
        except Exception as trouble:
            self._give_up(trouble, strict=self._options.strict and problem is None)
        finally:
            self._leave(state, error)

    # -- the conduct

    def _open(self, verb: str) -> Ledger | None:
        """None where nothing is recorded: in a child process, after a failure; RecordError outside the block."""
        if self._off or self._pid not in (0, os.getpid()):
            return None
        if self._closed:
            raise RecordError(f"run.{verb}(): {self.path} is closed; the `with record(...)` block was left")
        if self._ledger is None:
            raise RecordError(f"run.{verb}(): the recording has not begun; write: with record(...) as run:")
        return self._ledger

    def _plan(self) -> Plan:
        """Asked by the adapter just before an update."""
        return self._conductor.plan() if self._pid == os.getpid() and not self._closed else Plan()

    def _end_iteration(self, ledger: Ledger, samples: int | None, given: Mapping[str, Any]) -> None:
        moment, due = self._moment, self._conductor.due
        timing = self._cost.iteration(self._adapter, samples)
        try:
            numbers = self._numbers(given)
            collect = self._adapter.collect(numbers)
        finally:
            self._move_to(Moment(moment.step + 1, moment.epoch))
        self._iterations.append(_Iteration(moment, time.time(), due, tuple(numbers), timing, collect))
        while len(self._iterations) > self._adapter.lag:
            self._read(ledger, self._iterations.popleft())
        self._between(ledger)
        if self._checkpointer is not None and self._checkpointer.rule.due(self._moment):
            self._save(ledger)
        if self._progress is not None and self._progress.due:
            self._progress.paint(self.summary)

    def _end_epoch(self, ledger: Ledger, given: Mapping[str, Any]) -> None:
        self._move_to(Moment(self._moment.step, self._moment.epoch + 1, epoch_begins=True))
        self._settle(ledger)
        numbers = {name: float(value) for name, value in self._numbers(given).items()}
        ledger.epoch(numbers, self._moment, time.time())
        self._between(ledger)
        if self._checkpointer is not None and self._checkpointer.rule.due(self._moment):
            self._save(ledger)

    def _finish(self, ledger: Ledger, *, well: bool) -> None:
        """Take in what is on its way and, after a training that went well, what is due at its end."""
        self._settle(ledger)
        if not well:
            return
        # No update follows: what is due at the first update of an epoch is measured now as well.
        self._move_to(replace(self._moment, epoch_begins=True, ended=True))
        if due := self._conductor.due:
            collected = self._adapter.read(self._conductor.plan())
            ledger.between(self._conductor.update(due, collected, self._moment, time.time()), self._moment, time.time())
        self._between(ledger)

    def _leave(self, state: State, error: str) -> None:
        """Put everything back and seal the run, each part also when another one fails."""
        self._closed = True
        leaving: list[Callable[[], Any]] = [self._adapter.detach]
        if self._progress is not None:
            leaving.append(self._progress.close)
        if self._checkpointer is not None:
            leaving.append(self._checkpointer.close)
        if self._ledger is not None:
            leaving.append(partial(self._ledger.close, state, error))
        for leave in leaving:
            try:
                if said := leave():
                    self._warn(said)
            except Exception as problem:
                self._warn(f"on leaving: {_said(problem)}")

    def _settle(self, ledger: Ledger) -> None:
        """Wait for the iterations whose numbers are still on their way."""
        while self._iterations:
            self._read(ledger, self._iterations.popleft())

    def _read(self, ledger: Ledger, iteration: _Iteration) -> None:
        collected = iteration.collect()
        for kind, text in collected.notes:
            self._note(kind, text, iteration.moment)
        rows = self._conductor.update(iteration.due, collected, iteration.moment, iteration.at)
        users = {name: collected.scalars[name] for name in iteration.given if name in collected.scalars}
        ledger.step(rows, {**users, **collected.scalars, **iteration.timing}, iteration.moment, iteration.at)

    def _between(self, ledger: Ledger) -> None:
        ledger.between(self._conductor.between(self._moment, self._look), self._moment, time.time())

    def _look(self, needs: frozenset[Need]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        if Need.PROBE in needs:
            seen["activations"] = self._adapter.probe()
        if Need.MODEL in needs:
            seen["model"] = self._adapter.model()
        return seen

    def _move_to(self, moment: Moment) -> None:
        self._moment = moment
        self._conductor.move_to(moment, thin=self._ledger.budget.thin if self._ledger else 1)

    def _save(self, ledger: Ledger) -> Path | None:
        try:
            self._settle(ledger)  # the score of the best checkpoint may be on its way
            if self._checkpointer is None:
                self._checkpointer = self._new_checkpointer(ledger.writer, Checkpoints())
            step, epoch = self._moment.step, self._moment.epoch
            saved = self._checkpointer.save(self._adapter.save, step=step, epoch=epoch, scalars=ledger.latest)
        except Exception as problem:
            if self._options.strict:
                raise
            text = f"no checkpoint at step {self._moment.step}: {_said(problem)}"
            self._note("warning", text, self._moment)
            self._warn(text, key="checkpoint")
            return None
        self._note("checkpoint", saved.file, self._moment)
        return self._checkpointer.folder / saved.file

    def _new_checkpointer(self, writer: RunWriter, rule: Checkpoints) -> Checkpointer:
        suffix = SUFFIXES.get(self._facts.framework, ".pth")
        return Checkpointer(writer.folder / "checkpoints", rule, suffix=suffix)

    def _note(self, kind: str, text: str, moment: Moment) -> None:
        if self._ledger is not None:
            self._ledger.note(kind, text, moment)

    # -- when something goes wrong

    def _numbers(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What can be a scalar of what was given; the rest is warned of once, or raised when strict."""
        good = {}
        for name, value in given.items():
            if value is None:
                continue
            if is_number(value):
                good[name] = value
                continue
            shape = tuple(getattr(value, "shape", ()))
            found = f"shape {shape}" if shape else f"{type(value).__name__} {value!r}"
            text = f"scalar {name!r} at step {self._moment.step}: expected one number, got {found}; it is left out"
            if self._options.strict:
                raise RecordError(text)
            if name not in self._warned:
                self._note("warning", text, self._moment)
            self._warn(text, key=name)
        return good

    def _give_up(self, problem: Exception, *, strict: bool) -> None:
        """The recorder itself failed: the training goes on, its scalars are recorded until that fails as well."""
        if strict:
            if isinstance(problem, LayerscopeError):
                raise problem
            raise RecordError(f"recording failed at step {self._moment.step}: {_said(problem)}") from problem
        adapter, self._adapter = self._adapter, Unwatched(self._facts)
        self._off = isinstance(adapter, Unwatched)
        rest = "nothing more is recorded" if self._off else "only scalars are recorded from here"
        text = f"recording failed at step {self._moment.step}: {_said(problem)}; the training goes on, {rest}"
        self._warn(text)
        self._iterations.clear()
        self._conductor.rest()
        try:
            adapter.detach()
            self._note("warning", text, self._moment)
        except Exception as trouble:
            self._warn(f"on detaching: {_said(trouble)}")

    def _warn(self, text: str, *, key: str = "") -> None:
        if not key or key not in self._warned:
            self._warned.add(key)
            warn(text)


def _said(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}".removesuffix(": ")


def _inert_copy(path: str) -> Recording:
    nothing = Facts("", (), ())
    copy = Recording(Unwatched(nothing), nothing, (), path, {}, Options(progress=False))
    copy._pid = -1  # no process has it
    return copy
