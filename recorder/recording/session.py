"""What happens at each iteration, at each epoch and at the end of a training that is being recorded?

Everything here may raise; `recorder.recording.recording` stands between it and the user's loop.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import nan, prod
from pathlib import Path
from typing import Any, NamedTuple

from recorder.analysis.health import ANOMALIES, Monitor
from recorder.charting.captions import many
from recorder.errors import RecordError, in_words
from recorder.number import as_float, size
from recorder.reading import AVERAGED, Collected, Facts, Foreseeing, Plan, TensorFacts
from recorder.recording.anomaly import Alarms, Anomaly
from recorder.recording.batch import Batch
from recorder.recording.board import Board, folder_of
from recorder.recording.checkpoint import Checkpointer, Checkpoints
from recorder.recording.conductor import Conductor
from recorder.recording.cost import Cost
from recorder.recording.flight import Flight, Step
from recorder.recording.gathering import enough
from recorder.recording.ledger import Ledger
from recorder.recording.look import Wanted, looked
from recorder.recording.memory import gradient_bytes, memory
from recorder.recording.nowhere import Nowhere
from recorder.recording.player import Player
from recorder.recording.probe_input import AXIS as PROBE
from recorder.recording.probe_input import ProbeInput, probe_input
from recorder.recording.provenance import model_facts
from recorder.recording.resume import Start
from recorder.recording.setup import Setup
from recorder.recording.summary import Summary
from recorder.recording.unseen import UNSEEN, unseen
from recorder.recording.unwatched import Unwatched
from recorder.recording.warning import warn
from recorder.runfile.on_disk import on_disk
from recorder.runfile.schema import State
from recorder.runfile.writer import RunWriter
from recorder.schedule import Moment

LARGE = 4  # times the weights: memory that is announced
SUFFIXES = {"keras": ".weights.h5", "numpy": ".npz"}  # of checkpoints; torch and others ".pth"


class _Iteration(NamedTuple):
    """One iteration of the user's loop whose numbers may still be on their way from the device."""

    moment: Moment
    at: float
    due: tuple[Player, ...]
    given: Mapping[str, float]  # the user's scalars, whose numbers are to come
    timing: Mapping[str, float]
    batch: Batch | None
    collect: Callable[[], Collected]
    logged: tuple[str, ...] = ()  # those of the scalars that came before it


class Session:
    """One training, from the entry of its block to the exit: adapter -> conductor -> ledger."""

    def __init__(self, setup: Setup, writer: RunWriter | Nowhere, start: Start = Start()) -> None:  # noqa: B008  frozen
        facts = setup.facts
        monitor = Monitor(setup.health, *_sizes(facts))
        self.moment = start.moment
        self.cost = Cost()
        self._probe_input = ProbeInput()
        if setup.together is None or setup.together.leads:
            self._probe_input = probe_input(setup.adapter, facts, kept=start.probes, max_size=setup.max_size)
        series = (*self._probe_input.series, *(s for p in setup.players for s in p.series))
        monitor.recall(start.judged, {s.name: s.items for s in series})
        names = frozenset[str]().union(*(p.names for p in setup.players))
        board = None
        if setup.tensorboard is not None:
            board = Board(folder_of(setup.tensorboard, writer.path), begin_at=start.moment.step)
        self.ledger = Ledger(
            writer, series, monitor, setup.max_size, names=names, before=start.scalars, board=board
        )  # fmt: skip
        self._monitor = monitor
        self._setup = setup
        self._start = start
        self._facts = facts
        self._adapter = setup.adapter
        self._foreseeing = setup.adapter if isinstance(setup.adapter, Foreseeing) else None
        self._each_update = setup.flight.statistics(setup.players)
        self._conductor = Conductor(setup.players, self.ledger.note, strict=setup.strict, always=self._each_update)
        # What all processes do at the same moment, whatever becomes of an instrument in one of them.
        self._agreed = self._conductor
        if (together := setup.together) is not None:
            self._agreed = Conductor([replace(p) for p in setup.players], lambda *_: None, always=self._each_update)
            self._agreed.move_to(start.moment)
            if not together.leads:
                self._conductor.rest()
        self._gathered = -1  # the step at which weights were last taken from all processes
        self._conductor.move_to(start.moment)
        self._iterations: deque[_Iteration] = deque()
        self._at_once = setup.strict or setup.together is not None  # others may wait for what this process reads
        self._flight = Flight(setup.flight.steps)
        self._alarms = Alarms()
        suffix = SUFFIXES.get(facts.framework, ".pth")
        rule = setup.checkpoints or Checkpoints()
        self._checkpointer = Checkpointer(writer.folder / "checkpoints", rule, suffix=suffix)
        if start.extends:
            self._checkpointer.take_over(start.moment.step)
        self._pid = os.getpid()
        self._updated = False  # in this iteration
        self._left = False
        self._logged: dict[str, Any] = {}  # since the last iteration

    @property
    def _leads(self) -> bool:
        """Whether this process writes the run."""
        return self._setup.together is None or self._setup.together.leads

    @property
    def watched(self) -> bool:
        """Whether the framework is (still) watched."""
        return not isinstance(self._adapter, Unwatched)

    def begin(self) -> None:
        """Watch the training, and look at the network as it is before it."""
        if self._start.said:
            self.note("resumed", self._start.said + self._anew)
        if self._start.doubt:
            warn(self._start.doubt)
        if self._setup.left_out and self._leads:
            names = ", ".join(self._setup.left_out)
            text = (
                f"each process has parts of the tensors, and these need whole ones, so they are not recorded: {names}"
            )
            self.note("note", text)
            warn(text)
        for text in self._probe_input.notes:
            self.note("note", text)
        if self._probe_input.row is not None:
            self.ledger.between({PROBE: self._probe_input.row}, self.moment, time.time())
        self._probe_input = ProbeInput()
        self._adapter.attach(self._plan)
        self._foresee()
        self._between()
        self.cost.begin()

    def iteration(self, samples: float | None, given: Mapping[str, Any], batch: Batch | None = None) -> None:
        """End the iteration at this moment; the next update is one step on."""
        moment = self.moment
        logged = tuple(self._logged)
        if logged:
            given, self._logged = {**self._logged, **given}, {}
        timing = self.cost.iteration(self._adapter, samples)
        urgent = self._at_once or moment.step == self._start.moment.step
        try:
            if not self._adapter.lag:  # then nothing waits for a device
                given = {name: as_float(value) for name, value in given.items()}
                urgent |= self._monitor.stands_out(given)
            collect = self._adapter.collect(given)
        except Exception:
            self._settle()  # what came before it is sound
            raise
        finally:  # some adapters learn only there that there was an update
            updated, self._updated = self._updated, False
            due = self._conductor.due if updated else ()
            self._move_to(Moment(moment.step + 1, moment.epoch, moment.updates + updated))
        names: dict[str, float] = dict.fromkeys(given, nan)  # not the values, which may hold a graph
        iteration = _Iteration(moment, time.time(), due, names, timing, batch, collect, logged)
        self._iterations.append(iteration)
        waiting, age = len(self._iterations) - self._adapter.lag, iteration.at - self._iterations[0].at
        full = enough(waiting, age=age, took=timing["step_time"], tensors=len(self._facts.tensors))
        if full or urgent or any(player.raw for player in due):
            self.take_in(to_alarm=True)
        self._between()
        if moment.step + 1 - self._start.moment.step == UNSEEN:
            self._miss()

    def log(self, given: Mapping[str, Any]) -> None:
        """Numbers of the network as it is at this moment: those of the iteration that comes next, if one does."""
        self._logged |= given

    def epoch(self, given: Mapping[str, Any]) -> None:
        """End an epoch at this moment."""
        self._move_to(self.moment._replace(epoch=self.moment.epoch + 1, epoch_begins=True))
        self._settle()
        self._close_epoch()
        self.ledger.epoch({name: as_float(value) for name, value in given.items()}, self.moment, time.time())
        self._between()

    def finish(self, *, well: bool) -> None:
        """Take in what is on its way and, after a training that went well, what is due at its end."""
        if self._setup.together is not None and not well:
            self._setup.together.hurry()
            with suppress(RecordError):  # the others may be gone, and with them their parts of the last rows
                self._settle()
            self._iterations.clear()
        self._settle()
        self._close_epoch()
        if self._logged:
            logged = {name: as_float(value) for name, value in self._logged.items()}
            self.ledger.step({}, logged, self.moment, time.time())
        self._count_again()
        if not well:
            return
        if self._since.step < UNSEEN:
            self._miss()
        self._warn_of_no_score()
        # No update follows: what is due at the first update of an epoch is measured now as well.
        self._move_to(self.moment._replace(epoch_begins=True, ended=True))
        if any(player.at_rest for player in self._agreed.due):
            collected = self._adapter.read(self._agreed.plan())
            self._welcome(collected.arrived, self.moment)
            due = [player for player in self._conductor.due if player.at_rest]
            self.ledger.between(
                self._conductor.update(due, collected, self.moment, time.time()), self.moment, time.time()
            )
        self._between()

    @property
    def kept(self) -> int:
        """Bytes of memory that instruments take from update to update, and the adapter for them, also before."""
        kept = memory(self._conductor.players, self._facts.tensors, device=self._facts.device)
        return kept + (0 if self._foreseeing is None else self._foreseeing.bytes_for(self._conductor.wants))

    @property
    def large(self) -> str:
        """What there is to say of that memory before it is taken; "" where it is small beside the network."""
        kept, weights = self.kept, gradient_bytes(self._facts.tensors)
        if kept <= LARGE * weights:
            return ""
        return f"{size(kept)} of memory from update to update, {kept / weights:.1f} x the network's weights"

    @property
    def checkpoint_due(self) -> bool:
        return self._setup.checkpoints is not None and self._setup.checkpoints.due(self.moment)

    def scheduled_checkpoint(self) -> None:
        """Save the weights, unless they were saved before the epoch ended at this very step."""
        if self._checkpointer.saved(self.moment.step):
            self._settle()
            self._checkpointer.refresh(epoch=self.moment.epoch, scalars=self.ledger.latest)
        elif self._gathered != self.moment.step:
            self.checkpoint()
        if self.moment.epoch:  # before, the score may be a number of the epoch
            self._warn_of_no_score()

    def checkpoint(self) -> Path | None:
        """Save the weights now; None where another process does."""
        self._settle()  # the score of the best checkpoint may be on its way
        step, epoch = self.moment.step, self.moment.epoch
        if (together := self._setup.together) is not None and self.watched:
            self._gathered = step
            together.gather()
            if not together.leads:
                return None
        saved = self._checkpointer.save(self._adapter.save, step=step, epoch=epoch, scalars=self.ledger.latest)
        self.note("checkpoint", saved.file)
        return self._checkpointer.folder / saved.file

    def exception(self, text: str) -> Anomaly:
        """The block is left by an exception; what is kept of the last steps goes into the run."""
        self._fly()
        return self._alarms.exception(self.moment.step, text, self._facts.tensor_names)

    def anomalies(self) -> list[Anomaly]:
        """What went wrong meanwhile, each kind once; if anything, the last steps go into the run."""
        findings, self.ledger.alarms = self.ledger.alarms, []
        found = self._alarms.raised(findings, self._facts.tensor_names)
        if found:
            self._fly()
        return [replace(anomaly, batch=self._flight.batch_of(anomaly.step)) for anomaly in found]

    def anomaly_checkpoint(self) -> Path | None:
        """Save the weights as they are after an anomaly, apart from the checkpoints of the schedule."""
        if not (self._setup.flight.steps and self._setup.flight.checkpoint and self.watched and self._since.step):
            return None
        if self._setup.together is not None:  # the others do not know of it, and have parts of the weights
            return None
        step, epoch = self.moment.step, self.moment.epoch
        saved = self._checkpointer.save_apart(self._adapter.save, "anomaly", step=step, epoch=epoch)
        self.note("checkpoint", saved.file)
        return self._checkpointer.folder / saved.file

    def note(self, kind: str, text: str) -> None:
        self.ledger.note(kind, text, self.moment)

    def watch(self, optimizer: Any) -> None:
        """Watch these optimizers, too."""
        if optimizer is None:
            return
        if not hasattr(self._adapter, "watch"):
            raise RecordError(f"{self._facts.framework or 'without a model'}: optimizer= of a phase is for torch only")
        self._adapter.watch(optimizer)

    def unwatch(self) -> None:
        """Let go of the framework and of what is on its way from it; scalars are still recorded."""
        if self._setup.together is None:
            with suppress(Exception):  # what came before is sound, unless this is what failed
                self._settle()
        adapter, self._adapter, self._foreseeing = self._adapter, Unwatched(self._setup.facts), None
        self._iterations.clear()
        self._conductor.rest()
        adapter.detach()

    def leave(self, state: State, error: str) -> tuple[str, ...]:
        """Put everything back and seal the run, each part also when another one fails; what there is to say."""
        self._left = True
        leaving: tuple[Callable[[], str | None], ...] = (
            self._adapter.detach,
            self._checkpointer.close,
            partial(self.ledger.close, state, error, self.moment.epoch),
            self.ledger.close_board,
        )
        said = []
        for leave in leaving:
            try:
                said.append(leave() or "")
            except Exception as problem:
                said.append(f"on leaving: {in_words(problem)}")
        return tuple(text for text in said if text)

    def summary(self, path: Path) -> Summary:
        self.take_in()
        ledger = self.ledger
        return Summary(
            path=path,
            players=self._conductor.players,
            scalars=ledger.scalars.names("step"),
            forecast=ledger.forecast(self._conductor.players, self._since),
            steps=self.moment.step,
            epochs=self.moment.epoch,
            step_time=self.cost.training / max(1, self._since.step),
            overhead=self.cost.own / max(1, self._since.step),
            written=on_disk(path),
            loss=ledger.latest.get("loss"),
            max_size=self._setup.max_size,
            kept=self.kept,
            storage=ledger.writer.storage,
            thin=max(ledger.budget.thin.values(), default=1),
            flight=self._setup.flight.steps,
            flight_norms=len(self._facts.tensors) if self._each_update else 0,
            flight_reads=gradient_bytes(self._facts.tensors) if self._each_update and self._setup.flight.norms else 0,
        )

    @property
    def _since(self) -> Moment:
        """How much of the training this process has done."""
        step, epoch, updates = (now - then for now, then in zip(self.moment[:3], self._start.moment[:3], strict=True))
        return Moment(step, epoch, updates)

    def _plan(self) -> Plan:
        """Asked by the adapter just before an update, in a forked child too."""
        if self._left or self._pid != os.getpid():
            return Plan()
        self._updated = True
        return self._agreed.plan()

    def _miss(self) -> None:
        """Warn of a training whose updates pass unseen, or whose iterations do."""
        updated = self._updated or (self._foreseeing is not None and self._foreseeing.unread)
        wanted = self.watched and any(not p.between for p in self._conductor.players)
        done, framework = self._since, self._facts.framework
        text = unseen(framework, steps=done.step, updates=done.updates, updated=updated, wanted=wanted)
        if text and self._leads:
            self._warn(text)

    def _warn(self, text: str) -> None:
        """In the run, and to the user."""
        self.note("warning", text)
        warn(text)

    @property
    def _anew(self) -> str:
        """What an earlier process had in memory and nobody can tell from the numbers."""
        averages = any(not AVERAGED.keys().isdisjoint(p.instrument.statistics) for p in self._setup.players)
        return "; moving averages begin anew" if averages and self._start.moment.step else ""

    def _warn_of_no_score(self) -> None:
        if text := self._checkpointer.no_score(self.ledger.latest):
            self._warn(text)

    def _close_epoch(self) -> None:
        """Write what was measured at the last recorded update of the epoch."""
        if (closing := self._conductor.take_closing()) is not None:
            self.ledger.between(*closing)

    def _settle(self) -> None:
        """Read all iterations, also those whose numbers are still on their way."""
        while self._iterations:
            self._read(self._iterations.popleft())

    def take_in(self, *, to_alarm: bool = False) -> None:
        """Read the iterations that wait, but for those on their way, and for those behind one that raises an alarm."""
        while len(self._iterations) > self._adapter.lag and not (to_alarm and self.ledger.alarms):
            self._read(self._iterations.popleft())

    def _welcome(self, arrived: tuple[TensorFacts, ...], moment: Moment) -> None:
        """Tensors came: each has rows from here on."""
        if arrived:
            self._facts = replace(self._facts, tensors=(*self._facts.tensors, *arrived))
            self._grow(moment, "tensor", [tensor.name for tensor in arrived])

    def _welcome_layers(self) -> None:
        """Layers came: each is looked at from here on."""
        known = {layer.name for probe in self._facts.probes.values() for layer in probe.layers}
        now = self._adapter.facts()
        self._facts = replace(self._facts, layers=now.layers, probes=now.probes)
        self._monitor.units, self._monitor.numbers = _sizes(self._facts)
        names = dict.fromkeys(layer.name for probe in now.probes.values() for layer in probe.layers)
        self._grow(self.moment, "layer", [name for name in names if name not in known])

    def _grow(self, moment: Moment, what: str, names: Sequence[str]) -> None:
        self.ledger.writer.learn(model_facts(self._facts))
        self.ledger.more(self._conductor.welcome(self._facts, moment))
        if self._agreed is not self._conductor:
            self._agreed.welcome(self._facts, moment)
        came = many(len(names), what, f"{what}s")
        self.ledger.note("note", f"{came} came during the run: {', '.join(names)}", moment)

    def _read(self, iteration: _Iteration) -> None:
        collected = iteration.collect()
        self._welcome(collected.arrived, iteration.moment)
        for kind, text in collected.notes:
            self.ledger.note(kind, text, iteration.moment)
            if kind == "warning":
                warn(text)
        moment, at = iteration.moment, iteration.at
        rows = self._conductor.update(iteration.due, collected, moment, at) if iteration.due or collected.table else {}
        numbers = {**iteration.given, **collected.scalars, **iteration.timing}  # what the user gave comes first
        norms = (
            {s.value: collected.table[s] for s in self._each_update if s in collected.table} if collected.table else {}
        )
        self._flight.last.append(Step(moment, at, numbers, iteration.batch, norms))
        if iteration.logged:
            self.ledger.logs({name: numbers[name] for name in iteration.logged})
        self.ledger.step(rows, numbers, moment, at)
        if norms and not any(norms.keys() & row.keys() for row in rows.values()):
            self.ledger.judge(norms, dict.fromkeys(norms, self._facts.tensor_names), moment)

    def _fly(self) -> None:
        self._flight.write(self.ledger, self._facts.tensor_names)

    def _count_again(self) -> None:
        """Note how often anomalies came back, of which only the first of each kind is told."""
        again = {kind: times for kind, times in self._monitor.again.items() if kind in ANOMALIES}
        if again:
            told = ", ".join(f"{kind.replace('_', ' ')} at {many(n, 'step', 'steps')}" for kind, n in again.items())
            self.note("note", f"met again after the first time: {told}")

    def _between(self) -> None:
        look: Callable[[Wanted], Mapping[str, Any]] = self._look
        if self._agreed is not self._conductor and (wanted := self._agreed.look(self.moment)).needs:
            look = self._seen_by_all(wanted)
        if rows := self._conductor.between(self.moment, look):
            self.take_in()
            self.ledger.between(rows, self.moment, time.time())

    def _seen_by_all(self, wanted: Wanted) -> Callable[[Wanted], Mapping[str, Any]]:
        """What every process has to look at, whether somebody measures it here or not."""
        try:
            seen = self._look(wanted)
        except Exception as problem:
            trouble = problem

            def fail(_: Wanted) -> Mapping[str, Any]:
                raise trouble

            return fail
        return lambda _: seen

    def _look(self, wanted: Wanted) -> dict[str, Any]:
        """The fields of a Reading that are wanted: a forward pass of each probe that somebody looks at, the model."""
        seen = looked(self._adapter, wanted, default=self._facts.default_probe)
        known = {name: {layer.name for layer in one.layers} for name, one in self._facts.probes.items()}
        if not all(known[name].issuperset(found) for name, found in seen.get("probes", {}).items()):
            self._welcome_layers()
        return seen

    def _move_to(self, moment: Moment) -> None:
        self.moment = moment
        self._conductor.move_to(moment, thin=self.ledger.budget.thin)
        if self._agreed is not self._conductor:
            self._agreed.move_to(moment)
        self._foresee()

    def _foresee(self) -> None:
        """Tell an adapter whose updates run where Python does not which of the coming ones will be measured."""
        if self._foreseeing is not None:
            self._foreseeing.expect(self._conductor.wants)


def _sizes(facts: Facts) -> tuple[dict[str, int], dict[str, int]]:
    """{layer: units} and {layer: activations on the probe batch}."""
    numbers = {layer.name: facts.probe_samples * prod(layer.shape) for layer in facts.layers}
    return {layer.name: layer.units for layer in facts.layers}, numbers
