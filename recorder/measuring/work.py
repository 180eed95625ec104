"""What is done at each checkpoint, and what becomes of one that fails? It is left out, said why, and the others go on.

A row is in the run as soon as it is measured. Each instrument has an axis of its own, so a run that was cut short, by
Ctrl-C or a SIGKILL, says of each which steps are left.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

from recorder.errors import LayerscopeError, RecordError, in_words
from recorder.measuring.checkpoints import Checkpoint
from recorder.measuring.progress import Progress
from recorder.reading import Adapter, Facts, Finished, Plan, Reading, Statistic
from recorder.recording.look import looked, wanted_by
from recorder.recording.player import Player
from recorder.recording.probe_input import AXIS as ASKED
from recorder.recording.probe_input import ProbeInput
from recorder.runfile.schema import Event, State
from recorder.runfile.writer import RunWriter


class Loading(Protocol):
    """What an adapter also has whose model can be given other weights."""

    def load(self, path: Path, *, key: str = "") -> str:
        """Put the weights of a file into the model; what else it holds, in words. RecordError where they do not fit."""
        ...


@dataclass
class Outcome:
    """What came of it."""

    path: Path
    series: tuple[str, ...] = ()
    steps: set[int] = field(default_factory=set)  # that were measured now
    before: int = 0  # checkpoints of which all was measured before
    left_out: list[str] = field(default_factory=list)  # in words
    said: str = ""  # by the writer, when it closed the run


@dataclass
class Work:
    """Which instruments look at which checkpoints, and where that is written."""

    path: Path
    meta: Mapping[str, Any]
    adapter: Adapter
    facts: Facts
    players: tuple[Player, ...]
    checkpoints: tuple[Checkpoint, ...]
    before: Mapping[str, frozenset[int]]  # by instrument: the steps that the run has
    key: str
    extends: bool  # there is a run
    trained: bool  # in which a training was recorded
    probe_input: ProbeInput  # what is to be kept of what was asked
    outcome: Outcome
    _writer: RunWriter | None = None
    _waiting: list[Event] = field(default_factory=list)  # until there is a writer

    def done(self, *, progress: bool = True) -> Outcome:
        """Measure what is left. RecordError where nothing could be measured; then nothing was written."""
        outcome = self.outcome
        outcome.series = tuple(s.name for p in self.players for s in p.series)
        due = [c for c in self.checkpoints if self._at(c)]
        outcome.before = len(self.checkpoints) - len(due)
        line = Progress(progress and bool(due), [p.name for p in self.players], len(due))
        state, error = State.FAILED, ""
        try:
            for checkpoint in due:
                line.at(checkpoint)
                self._measure(checkpoint)
            state = State.DONE
        except BaseException as problem:
            error = in_words(problem)
            raise
        finally:
            line.close()
            if self._writer is not None:
                outcome.said = self._writer.close(state, error=error)
        if due and not outcome.steps:
            raise RecordError(f"none of {len(due)} checkpoints could be measured. {outcome.left_out[-1]}")
        return outcome

    def _at(self, checkpoint: Checkpoint) -> list[Player]:
        """Who looks at it."""
        return [p for p in self.players if checkpoint.step not in self.before[p.name] and not p.resting]

    def _measure(self, checkpoint: Checkpoint) -> None:
        try:
            left = cast(Loading, self.adapter).load(checkpoint.path, key=self.key)
            reading = self._reading(checkpoint)
        except Exception as problem:
            self._leave_out(f"{_said(problem, checkpoint)}; it was not measured", checkpoint)
            return
        for player in self._at(checkpoint):
            try:
                values = player.measure(reading)
            except Finished as finished:
                player.resting = True
                self._leave_out(f"{player.name} {finished}; it rests", checkpoint)
            except Exception as problem:
                self._leave_out(f"{player.name} was not measured: {_said(problem, checkpoint)}", checkpoint)
            else:
                writer = self._opened()
                writer.append(player.axis, step=reading.step, epoch=reading.epoch, time=reading.time, values=values)
                if left and not self.outcome.steps:
                    writer.event(_event("note", f"{checkpoint.path}: {left}", checkpoint))
                if not self.trained and checkpoint.step not in self.outcome.steps:  # where it is looked for from now on
                    writer.event(_event("checkpoint", str(checkpoint.path.absolute()), checkpoint))
                self.outcome.steps.add(checkpoint.step)

    def _reading(self, checkpoint: Checkpoint) -> Reading:
        """What those see who look at this checkpoint, whose weights are in the model."""
        due = self._at(checkpoint)
        between = [p for p in due if p.between]
        seen = looked(self.adapter, wanted_by(between), default=self.facts.default_probe) if between else {}
        reading = Reading(checkpoint.step, checkpoint.epoch, self._time_of(checkpoint), **seen)
        if statistics := frozenset[Statistic]().union(*(p.instrument.statistics for p in due)):
            collected = self.adapter.read(Plan(statistics))
            reading = replace(reading, table=collected.table, stepped=collected.stepped)
        return reading

    def _time_of(self, checkpoint: Checkpoint) -> float:
        """When it was saved, beside rows of a training; otherwise now."""
        return checkpoint.time if self.trained else time.time()

    def _opened(self) -> RunWriter:
        """The writer; opened with the first row, so that where all fails nothing is left behind."""
        if self._writer is None:
            self._writer = RunWriter(self.path, meta=self.meta, extend=self.extends, measured=True)
            self._writer.declare(*self.probe_input.series, *(s for p in self.players for s in p.series))
            first, last = self.checkpoints[0], self.checkpoints[-1]
            names = ", ".join(p.name for p in self.players)
            text = f"measured afterwards, at checkpoints of steps {first.step:,} to {last.step:,}: {names}"
            notes = [_event("note", said, first) for said in (text, *self.probe_input.notes)]
            for event in (*notes, *self._waiting):
                self._writer.event(event)
            if (row := self.probe_input.row) is not None:
                self._writer.append(ASKED, step=first.step, epoch=first.epoch, time=self._time_of(first), values=row)
        return self._writer

    def _leave_out(self, text: str, checkpoint: Checkpoint) -> None:
        self.outcome.left_out.append(text)
        event = _event("warning", text, checkpoint)
        if self._writer is None:
            self._waiting.append(event)
        else:
            self._writer.event(event)


def _event(kind: str, text: str, checkpoint: Checkpoint) -> Event:
    return Event(kind, text, checkpoint.step, checkpoint.epoch, time.time())


def _said(problem: Exception, checkpoint: Checkpoint) -> str:
    """What is in the way of measuring this checkpoint."""
    if isinstance(problem, LayerscopeError):
        return str(problem)
    return f"{checkpoint.path}: {in_words(problem)}"
