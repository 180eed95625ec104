"""How is a training by Hugging Face's Trainer recorded? `Trainer(..., callbacks=[Record("runs/x.h5")])`."""

from __future__ import annotations

import os
import sys
import traceback
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from transformers import TrainerCallback

from recorder.loops.training import Mark, Training

KEY = "layerscope"  # in the trainer's state, which is saved with its checkpoints
APART = {"epoch", "learning_rate"}  # of what it logs: the run has them at every step


class Record(TrainerCallback):  # type: ignore[misc]  # transformers is not looked at
    """Record what `Trainer.train` trains into the run at `path`; the options are those of `recorder.record`.

    trainer = Trainer(model, args, ..., callbacks=[Record("runs/x.h5", probe=inputs, instruments="full")])

    A step is an update, as everywhere in `transformers`. What the trainer logs is recorded under the same name: the
    loss with the step after which it was logged (its mean since then; `logging_steps=1` gives each), an evaluation with
    the epoch or, within one, with the step that comes next. `train(resume_from_checkpoint=...)` goes on in the run of
    the checkpoint. The arguments are the run's settings, unless `meta` says otherwise.

    The trainer tells no callback of an exception. The run is sealed when the process ends, at the next `train`, or
    where the block `with Record(...) as record:` around it is left.

    Raises:
        RecordError, RunExistsError: when the training begins, as `recorder.record` does; never later.
    """

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._training = Training(path, options)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._training.anew(type(self))

    # -- the training

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:  # noqa: ARG002
        kept = state.stateful_callbacks.get(KEY)  # only where a checkpoint was loaded
        self._training.begin(
            model,
            done=state.global_step,
            epochs=int(state.epoch or 0),
            mark=None if kept is None else Mark(**kept["attributes"]),
            meta=args.to_dict(),
        )
        weakref.finalize(self, _left, self._training)
        if (mark := self._training.mark) is not None:
            state.stateful_callbacks[KEY] = {"args": {}, "attributes": asdict(mark)}
        if args.logging_strategy == "steps" and state.logging_steps > state.max_steps and state.is_world_process_zero:
            self._training.note(
                f"the trainer tells the loss every {state.logging_steps:g} steps, and this training has "
                f"{state.max_steps}: the run has none of its steps; TrainingArguments(logging_steps=1) gives each"
            )

    def on_epoch_begin(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.epoch_begins()

    def on_step_begin(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.close_step()

    def on_step_end(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.step_ends()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **rest: Any) -> None:  # noqa: ARG002
        self._training.log({name: value for name, value in (logs or {}).items() if name not in APART})

    def on_prediction_step(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.close_step()  # an evaluation is not a part of it

    def on_save(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.close_step()

    def on_epoch_end(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.epoch_ends()

    def on_train_end(self, *told: Any, **rest: Any) -> None:  # noqa: ARG002
        self._training.end()

    # -- a training that is left by an exception

    def __enter__(self) -> Record:
        return self

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        self._training.end(problem)


def _left(training: Training) -> None:
    """The callback is gone, or the process ends: seal what is open, with the exception that nobody told of."""
    problem = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    frames = traceback.walk_tb(None if problem is None else problem.__traceback__)
    if not any(frame.f_globals.get("__name__") == "transformers.trainer" for frame, _ in frames):
        problem = None
    training.left(problem)
