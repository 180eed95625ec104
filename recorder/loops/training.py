"""How is a training recorded whose loop belongs to a framework, which only calls back?

A callback is there before the training and may be there after it; it is copied, sent to other processes, and used
again. So the recording begins with the training and ends with it, and a callback that goes on with the same network, or
with a checkpoint, goes on in the same run.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recorder.errors import RecordError, RunExistsError
from recorder.recording.record import record
from recorder.recording.recording import Recording
from recorder.recording.resume import is_folder
from recorder.recording.warning import warn

KNOWN = {"optimizer", "resume", "step", "epoch"}  # options of `record` whose values the framework tells
ARGUMENTS = {"self", "samples", "batch"}  # of `Recording.step`: no names of numbers


@dataclass(frozen=True)
class Mark:
    """What a checkpoint of the framework keeps of the recording, so that a training from there goes on in its run."""

    run: str  # the file's name
    before: int  # steps that it had when the framework counted none


class Training:
    """The recordings of the trainings that one callback sees, one after another.

    An epoch is closed when the next one begins or the training ends, since frameworks validate after its last step, and
    one of them after saying that it has ended. Numbers that come between are numbers of the epoch. So it is with a step
    where a framework says that it has ended before it tells its numbers.
    """

    def __init__(self, path: str | os.PathLike[str], options: Mapping[str, Any]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise RecordError(
                f'Record: expected the path of the run, "runs/x.h5" or "runs/", got {type(path).__name__}; the trainer '
                "tells the model"
            )
        if told := sorted(KNOWN & options.keys()):
            raise RecordError(f"Record({told[0]}=...): the trainer knows this and tells it; leave it out")
        try:
            signature(record).bind(None, path, **options)
        except TypeError as unknown:
            raise RecordError(f"Record: {unknown}; its options are those of recorder.record") from None
        self.path = os.fspath(path)
        self._options: dict[str, Any] = {"progress": False, **options}  # trainers have a progress bar of their own
        self._run: Recording | None = None  # the last one
        self._open = False
        self._model: Any = lambda: None  # a reference to the one that it recorded
        self._before = 0
        self._of_step = False  # whether a step has ended that is not closed yet
        self._of_epoch: dict[str, Any] | None = None  # the numbers of an epoch that has ended and is not closed yet

    def anew(self, callback: type) -> tuple[partial, tuple[()]]:
        """What its pickles and deep copies are made of: a callback that has recorded nothing."""
        return partial(callback, self.path, **self._options), ()

    # -- from the beginning to the end

    def begin(
        self,
        model: Any,
        *,
        done: int = 0,
        epochs: int = 0,
        mark: Mark | None = None,
        meta: Any = None,
        dry: bool = False,
    ) -> None:
        """The training begins, after so many steps and epochs by the framework's count.

        mark  of the checkpoint that was loaded
        meta  of the run, where the user gave none
        dry   check the arguments and record nothing
        """
        self.left()
        options, path = {"meta": meta, **self._options}, self.path
        again = self._run if self._model() is model else None
        if mark is None and again is not None:
            mark = Mark(again.path.name, again.steps - done)
        if mark is not None or done:
            self._before = mark.before if mark else 0
            options |= {"resume": True, "step": done + self._before, "epoch": None if self._before else epochs}
            path = os.path.join(path, Path(mark.run).name) if mark and is_folder(path) else path
        else:
            self._before = 0
        run = record(model, path, **options)
        if dry:
            return
        try:
            self._run = run.__enter__()
        except RunExistsError as problem:
            raise RunExistsError(
                f"{problem}. Here a checkpoint of the trainer takes the place of resume=True"
            ) from None
        self._open, self._of_step, self._of_epoch = True, False, None
        self._model = weakref.ref(model)

    @property
    def mark(self) -> Mark | None:
        """What a checkpoint has to keep now."""
        return None if self._run is None else Mark(self._run.path.name, self._before)

    def end(self, problem: BaseException | None = None) -> None:
        """The training ended, or was ended by an exception; nothing where none is recorded."""
        if not self._open or self._run is None:
            return
        self.close_step()
        self._close_epoch()
        self._open = False
        self._run.__exit__(None if problem is None else type(problem), problem, getattr(problem, "__traceback__", None))

    def left(self, problem: BaseException | None = None) -> None:
        """The training that is still open was left without a word, by this exception if it is known."""
        self.end(problem or RecordError("the training did not come to its end"))

    # -- in between

    def step(self, numbers: Mapping[str, Any], *, samples: int | None = None) -> None:
        """An iteration ended."""
        if self._open and self._run is not None:
            self._run.step(samples=samples, **_named(numbers))

    def step_ends(self) -> None:
        """An iteration ended; its numbers may still come."""
        self._of_step = self._open

    def log(self, numbers: Mapping[str, Any]) -> None:
        """Numbers came between two steps: of the one that has just ended where the loss is among them, or of the epoch
        that has just ended, otherwise of the network as it is now.
        """
        if self._of_step and "loss" in numbers:
            self.close_step(numbers)
            return
        self.close_step()
        if self._of_epoch is not None:
            self._of_epoch |= numbers
        elif self._open and self._run is not None and numbers:
            self._run.log(**_named(numbers))

    def close_step(self, numbers: Mapping[str, Any] = MappingProxyType({})) -> None:
        """No more numbers come of a step that has ended, if one has."""
        if self._of_step:
            self._of_step = False
            self.step(numbers)

    def epoch_begins(self) -> None:
        """An epoch begins: no more numbers come of the one before."""
        self.close_step()
        self._close_epoch()

    def epoch_ends(self) -> None:
        """An epoch ended; its numbers may still come."""
        self.close_step()
        if self._open:
            self._of_epoch = {}

    def note(self, text: str) -> None:
        """Say something of the run that begins, in it and to the user."""
        if self._open and self._run is not None:
            self._run.event("note", text)
            warn(text)

    def _close_epoch(self) -> None:
        numbers, self._of_epoch = self._of_epoch, None
        if numbers is not None and self._run is not None:
            self._run.epoch(**_named(numbers))


def _named(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The same, and none is taken for an argument."""
    return {f"logged/{name}" if name in ARGUMENTS else name: value for name, value in numbers.items()}
