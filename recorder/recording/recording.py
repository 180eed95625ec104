"""What does a loop tell of its training, and how does the training go on where recording fails?

Steps count from 0. `run.step()` ends iteration t; its row describes the network after t updates: gradients and weights
are those at w_t, before update t, and an update is w_t - w_{t-1}. `epoch` counts the epochs that are completed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from recorder.errors import LayerscopeError, RecordError, RunExistsError, in_words
from recorder.number import as_float, is_number
from recorder.reading import Facts
from recorder.recording.batch import Batch
from recorder.recording.naming import file_at, writer_at
from recorder.recording.nowhere import Nowhere
from recorder.recording.processes import beginning, followed, hint, refusal
from recorder.recording.resume import Resume, Start, start_of
from recorder.recording.session import Session
from recorder.recording.setup import Setup
from recorder.recording.summary import ProgressLine, Summary
from recorder.recording.unwatched import Unwatched
from recorder.recording.warning import warn
from recorder.runfile.guard import clean
from recorder.runfile.schema import State
from recorder.runfile.writer import RunWriter


class Recording:
    """A training being recorded; `with` gives it, `step` and `epoch` feed it, `print` shows it.

    It stands between the session, which may fail, and the user's training, which must not.
    """

    def __init__(self, setup: Setup, path: str) -> None:
        self.path = Path(path)
        self._setup = setup
        self._asked = path
        self._session: Session | None = None
        self._progress: ProgressLine | None = None
        self._pid = 0  # of the process that records; others hold an inert copy
        self._passed = 0  # steps of an inert one
        self._closed = False
        self._off = False  # after a second failure
        self._warned: set[str] = set()

    # -- what the user calls

    def step(self, *, loss: Any = None, samples: int | None = None, batch: Any = None, **scalars: Any) -> None:
        """End one iteration of the training loop; `samples` is the size of its batch, `scalars` any numbers of it.

        `batch` identifies its samples, as indices or names: of the last steps it is kept, for an anomaly to be traced.
        A tensor on the GPU is fine and costs no wait. Names may come at any time, also first at step 500.
        """
        if (session := self._open("step")) is None:
            self._passed += 1
            return
        given = scalars if loss is None else {"loss": loss, **scalars}
        ids = None if batch is None else self._batch(session, batch)
        count = None if samples is None else self._count(session, samples)
        self._guarded(session, lambda: session.iteration(count, self._numbers(session, given), ids))

    def log(self, **scalars: Any) -> None:
        """Any numbers of the network as it is now, between two steps: a validation in the middle of an epoch.

        They are recorded with the step that comes next, whose row describes this very network.
        """
        if (session := self._open("log")) is not None:
            session.log(self._numbers(session, scalars))

    def epoch(self, **scalars: Any) -> None:
        """End an epoch: validation results and the like; what is due each epoch is measured now."""
        if (session := self._open("epoch")) is not None:
            self._guarded(session, lambda: session.epoch(self._numbers(session, scalars)))

    def callback(self) -> Any:
        """For Keras: with model.fit(x, y, callbacks=[run.callback()]) batches are steps and epochs are epochs."""
        make = getattr(self._setup.adapter, "callback", None)
        if make is None:
            found = self._setup.facts.framework or "no"
            raise RecordError(
                f"run.callback() is for model.fit of a Keras model, and this is a {found} training: "
                "call run.step(loss=loss) at the end of each iteration of your loop"
            )
        return make(self)

    def event(self, kind: str, text: str) -> None:
        """Note something that happened now: run.event("note", "new data set")."""
        if (session := self._open("event")) is not None:
            self._take_in(session)
            session.note(kind, text)

    def phase(self, name: str, *, optimizer: Any = None) -> None:
        """Say that a phase begins now: run.phase("fine-tuning").

        `optimizer` is what comes with it, one, a list or a dict; only needed where `record` was given its optimizers.
        Layers and tensors that the model has from now on are found at their first update.
        """
        if (session := self._open("phase")) is None:
            return
        self._take_in(session)
        session.note("phase", name)
        try:
            session.watch(optimizer)
        except Exception as problem:
            if self._setup.strict:
                raise
            text = f"phase {name!r}: {in_words(problem)}; its updates are not recorded"
            session.note("warning", text)
            warn(text)

    def checkpoint(self) -> Path | None:
        """Save the weights now, whatever the schedule; the file's path, or None where that failed."""
        if (session := self._open("checkpoint")) is None:
            return None
        session.cost.enter()
        path = self._saved(session, session.checkpoint)
        session.cost.leave()
        return path

    @property
    def steps(self) -> int:
        """Iterations completed, those before a resumed training included: what your checkpoint keeps for `step=`."""
        if self._session is None:
            return self._passed + (self._setup.resume.step if self._setup.resume else 0)
        return self._session.moment.step

    @property
    def summary(self) -> Summary:
        """What is recorded, how often, what it costs and how large the run becomes."""
        return self._session.summary(self.path) if self._session else Summary(self.path, self._setup.players)

    def __rich__(self) -> Summary:
        return self.summary

    def __str__(self) -> str:
        return str(self.summary)

    def __repr__(self) -> str:
        begun = "recording" if self._session else "recorded by another process" if self._pid < 0 else "not begun"
        state = "closed" if self._closed else begun
        epochs = self._session.moment.epoch if self._session else 0
        return f"Recording({str(self.path)!r}, {self.steps} steps, {epochs} epochs, {state})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A data set that holds the run is copied to spawned workers: they get one that records nothing.
        return inert, (str(self.path),)

    # -- the block

    def __enter__(self) -> Recording:
        if self._session is not None:
            raise RecordError(f"{self.path}: this recording was already used; call record(...) again")
        if self._pid < 0:
            return self
        start, writer = self._begun()
        self.path, self._pid = writer.path, os.getpid()
        try:
            self._session = Session(self._setup, writer, start)
            if self._setup.progress and (large := self._session.large):
                print(f"layerscope {clean(self.path.name)}: {large}", file=sys.stderr)
            self._session.begin()
            self._progress = ProgressLine(self._setup.progress)
        except BaseException as problem:
            self._closed = True
            if self._session is None:
                writer.close(State.FAILED, error=in_words(problem))
            else:
                self._session.leave(State.FAILED, in_words(problem))
            raise
        return self

    def _begun(self) -> tuple[Start, RunWriter | Nowhere]:
        """Where the run begins, and who writes it: this process, or one that tells it what it found."""
        together = self._setup.together
        if together is not None and not together.leads:
            try:
                return followed(together.hear())
            except Exception:
                together.detach()
                raise
        try:
            start = start_of(file_at(self._asked), self._setup.resume, remember=self._setup.health.rows)
            writer = writer_at(self._asked, meta=self._setup.meta or {}, start=start)
        except Exception as problem:
            if together is not None:
                together.tell(refusal(problem))
                together.detach()
            if isinstance(problem, RunExistsError) and (advice := hint()):
                raise RunExistsError(f"{problem}. {advice}") from None
            raise
        if together is not None:
            together.tell(beginning(start, writer.path))
        return start, writer

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        if session is None or self._closed or self._pid != os.getpid():
            return
        well = problem is None or (isinstance(problem, SystemExit) and problem.code in (None, 0))
        try:
            if not self._off:
                session.finish(well=well)
            broken = in_words(problem) if isinstance(problem, Exception) and not self._off else ""
            if broken or session.ledger.alarms:
                self._report(session, broken=broken)
        except Exception as trouble:
            self._give_up(session, trouble, strict=self._setup.strict and problem is None)
        finally:
            self._closed = True
            if self._progress is not None:
                self._progress.close()
            error = "" if well or problem is None else in_words(problem)
            for text in session.leave(State.DONE if well else State.FAILED, error):
                warn(text)

    # -- between the session and the training

    def _open(self, verb: str) -> Session | None:
        """None where nothing is recorded: in a child process, after a failure; RecordError outside the block."""
        if self._off or self._pid not in (0, os.getpid()):
            return None
        if self._closed:
            raise RecordError(f"run.{verb}(): {self.path} is closed; the `with record(...)` block was left")
        if self._session is None:
            raise RecordError(f"run.{verb}(): the recording has not begun; write: with record(...) as run:")
        return self._session

    def _guarded(self, session: Session, work: Callable[[], None]) -> None:
        """Do the work of `run.step()` or `run.epoch()`, and what is due after it: a checkpoint, something to say."""
        session.cost.enter()
        try:
            work()
        except Exception as problem:
            self._give_up(session, problem, strict=self._setup.strict)
        if session.checkpoint_due and session.watched:
            self._saved(session, session.scheduled_checkpoint)
        if session.ledger.alarms:
            self._report(session)
        if self._progress is not None and self._progress.due:
            self._progress.paint(session.summary(self.path))
        session.cost.leave()

    def _take_in(self, session: Session) -> None:
        """Write what waits of the steps before this moment, so that events stand in their order."""
        try:
            session.take_in()
        except Exception as problem:
            self._give_up(session, problem, strict=self._setup.strict)

    def _saved(self, session: Session, save: Callable[[], Path | None]) -> Path | None:
        try:
            return save()
        except Exception as problem:
            if self._setup.strict:
                raise
            text = f"no checkpoint at step {self.steps}: {in_words(problem)}"
            session.note("warning", text)
            self._warn_once("checkpoint", text)
            return None

    def _report(self, session: Session, *, broken: str = "") -> None:
        """Tell of each anomaly: to the run, with a checkpoint, and to the user; `broken` is what ends the training."""
        strict, tell = self._setup.strict, self._setup.on_anomaly
        try:
            found = [*session.anomalies(), *([session.exception(broken)] if broken else [])]
        except Exception as problem:
            self._give_up(session, problem, strict=strict)
            return
        path = self._saved(session, session.anomaly_checkpoint) if found else None
        for anomaly in found:
            anomaly = replace(anomaly, checkpoint=path)
            session.note("anomaly", anomaly.sentence)
            try:
                if tell is not None:
                    tell(anomaly)
            except Exception as problem:
                if strict and not broken:
                    raise
                text = f"on_anomaly failed at step {anomaly.step}: {in_words(problem)}; the training goes on"
                session.note("warning", text)
                self._warn_once("on_anomaly", text)

    def _batch(self, session: Session, given: Any) -> Batch | None:
        """The identifiers, where they are some; otherwise warned of once, or raised when strict."""
        try:
            return Batch.of(given)
        except Exception as problem:
            self._leave_out(session, "batch", f"step {self.steps}: {problem}", problem)
            return None

    def _count(self, session: Session, given: Any) -> float | None:
        """The number of samples, where it is one; otherwise warned of once, or raised when strict."""
        if is_number(given) and (count := as_float(given)) >= 0:
            return count
        text = f"samples at step {self.steps}: expected the size of the batch, got {given!r:.80}"
        self._leave_out(session, "samples", text)
        return None

    def _numbers(self, session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
        """What can be a scalar of what was given; the rest is warned of once, or raised when strict."""
        if set(map(type, given.values())) == {float}:  # as a rule
            return dict(given)
        good = {name: value for name, value in given.items() if is_number(value)}
        if len(good) == len(given):
            return good
        for name, value in given.items():
            if name in good or value is None:
                continue
            shape = tuple(getattr(value, "shape", ()))
            found = f"shape {shape}" if shape else f"{type(value).__name__} {value!r}"
            self._leave_out(session, name, f"scalar {name!r} at step {self.steps}: expected one number, got {found}")
        return good

    def _leave_out(self, session: Session, name: str, why: str, problem: Exception | None = None) -> None:
        """What was given under this name cannot be recorded: said once, or raised when strict."""
        text = f"{why}; it is left out"
        if self._setup.strict:
            raise RecordError(text) from problem
        if name not in self._warned:
            session.note("warning", text)
        self._warn_once(name, text)

    def _give_up(self, session: Session, problem: Exception, *, strict: bool) -> None:
        """The recorder itself failed: the training goes on, its scalars are recorded until that fails as well."""
        if strict:
            if isinstance(problem, LayerscopeError):
                raise problem
            raise RecordError(f"recording failed at step {self.steps}: {in_words(problem)}") from problem
        self._off = not session.watched
        rest = "nothing more is recorded" if self._off else "only scalars are recorded from here"
        text = f"recording failed at step {self.steps}: {in_words(problem)}; the training goes on, {rest}"
        warn(text)
        try:
            session.note("off", text)
            session.unwatch()
        except Exception as trouble:
            warn(f"on letting go of the training: {in_words(trouble)}")

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warn(text)


def inert(path: str, resume: Resume | None = None) -> Recording:
    """What a process has that writes no run: another one does."""
    nothing = Facts("", (), ())
    copy = Recording(Setup(Unwatched(nothing), nothing, progress=False, resume=resume), path)
    copy._pid = -1  # no process has it
    return copy
