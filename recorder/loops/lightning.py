"""How is a training by PyTorch Lightning recorded? `Trainer(callbacks=[Record("runs/x.h5")])`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recorder.loops.training import Mark, Training

if TYPE_CHECKING or ("pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules):
    from pytorch_lightning import Callback
else:
    from lightning.pytorch import Callback


class Record(Callback):  # type: ignore[misc]  # Lightning is not looked at
    """Record what `Trainer.fit` trains into the run at `path`; the options are those of `recorder.record`.

    trainer = Trainer(callbacks=[Record("runs/x.h5", probe=images, instruments="full")])

    A step is a batch, whether it ends in an update or in none (`accumulate_grad_batches`, manual optimization). What
    the module logs is recorded under the same name: with the step, with the epoch, and after a validation in the middle
    of an epoch, with the step that comes next. `fit(ckpt_path=...)` goes on in the run of the checkpoint. The module's
    hyperparameters are the run's settings, unless `meta` says otherwise.

    Raises:
        RecordError, RunExistsError: when the training begins, as `recorder.record` does; never later.
    """

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        super().__init__()
        self._training = Training(path, options)
        self._logged = Logged()
        self._mark: Mark | None = None
        self._validates_within_epochs = False

    def __reduce__(self) -> tuple[Any, ...]:
        return self._training.anew(type(self))

    # -- the training

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._logged = Logged()
        self._logged.new(trainer.callback_metrics)  # those of a fit before
        mark, self._mark = self._mark, None
        self._validates_within_epochs = _within_epochs(trainer)
        self._training.begin(
            pl_module,
            done=trainer.fit_loop.total_batch_idx + 1,
            epochs=trainer.current_epoch,
            mark=mark,
            meta=dict(pl_module.hparams) or None,
            dry=bool(trainer.fast_dev_run),
        )

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._training.log(self._logged.new(trainer.callback_metrics))
        self._training.epoch_begins()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        numbers = self._logged.new(trainer.callback_metrics)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None and "loss" not in numbers:
            accumulated = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
            numbers["loss"] = loss if accumulated == 1 else loss * accumulated  # Lightning has divided it
        self._training.step(numbers, samples=_samples(batch))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        if self._validates_within_epochs:
            self._training.log(self._logged.new(trainer.callback_metrics))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._training.epoch_ends()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._training.log(self._logged.new(trainer.callback_metrics))
        self._training.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        self._training.end(exception)

    # -- its checkpoints

    @property
    def state_key(self) -> str:
        return self._generate_state_key(path=self._training.path)

    def state_dict(self) -> dict[str, Any]:
        return {} if (mark := self._training.mark) is None else asdict(mark)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._mark = Mark(state_dict["run"], state_dict["before"])


class Logged:
    """What of the trainer's metrics is new: they stay there under their names until they are logged again."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}  # whose memory is not used again while they are here

    def new(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Those that were logged since the last look; one that has two names has the more precise one, x_step."""
        fresh = {
            name: value
            for name, value in metrics.items()
            if name not in self._known or self._known[name].data_ptr() != value.data_ptr()
        }
        self._known |= fresh
        names = {value.data_ptr(): name for name, value in fresh.items()}
        return {name: fresh[name] for name in names.values()}


def _within_epochs(trainer: Any) -> bool:
    """Whether validations come within epochs, by batches or by the clock, and not just at their ends."""
    if trainer.check_val_every_n_epoch is None or trainer.val_check_batch is None:
        return True
    return bool(trainer.val_check_batch < trainer.num_training_batches)


def _samples(batch: Any) -> int | None:
    """How many samples a batch has: the length of the first tensor in it."""
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        return next((n for n in map(_samples, batch) if n is not None), None)
    shape: Any = getattr(batch, "shape", ())
    return int(shape[0]) if len(shape) else None
