"""What does a training loop look like that knows nothing of what looks on? A small trainer with callbacks.

An example to copy from, not a framework: who has a loop keeps it, and calls `run.step()` in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recorder.analysis.classification import classification
from recorder.recording.recording import Recording

Batch = tuple[torch.Tensor, torch.Tensor]  # inputs (sample, ...), labels (sample,)


class Callback:
    """What is told of a training; each does what it likes with it."""

    def on_epoch_begin(self, trainer: Trainer) -> None: ...
    def on_step_end(self, trainer: Trainer, metrics: Mapping[str, Any], samples: int) -> None: ...
    def on_epoch_end(self, trainer: Trainer, metrics: Mapping[str, float]) -> None: ...


class Trainer:
    """Trains a classifier; `loss` takes (answers, labels), `scheduler` moves on with each step."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        scheduler: LRScheduler | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.scheduler = scheduler
        self.callbacks = tuple(callbacks)
        self.epoch = 0  # epochs completed

    def fit(self, batches: Iterable[Batch], validation: Batch, *, epochs: int) -> None:
        """Train for so many epochs more, each of all `batches`, and validate after each."""
        for _ in range(epochs):
            for callback in self.callbacks:
                callback.on_epoch_begin(self)
            self.model.train()
            for inputs, labels in batches:
                metrics = self._step(inputs, labels)
                for callback in self.callbacks:
                    callback.on_step_end(self, metrics, len(labels))
            self.epoch += 1
            found = self.evaluate(*validation)
            for callback in self.callbacks:
                callback.on_epoch_end(self, found)

    def evaluate(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        """Loss, accuracy and the macro means of precision, recall and F1, in evaluation mode."""
        self.model.eval()
        with torch.no_grad():
            answers = self.model(inputs)
            loss = self.loss(answers, labels).item()
        return {"val_loss": loss, **classification(labels, answers, prefix="val_")}

    def _step(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        answers = self.model(inputs)
        loss = self.loss(answers, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        return {"loss": loss.detach(), "accuracy": (answers.argmax(dim=1) == labels).float().mean()}


class MetricsCallback(Callback):
    """Metrics of steps and epochs for a run, and so for TensorBoard where it was begun with `tensorboard="tb/"`; those
    of epochs for the console as well.
    """

    def __init__(self, run: Recording | None = None, *, console: bool = True) -> None:
        self._run, self._console = run, console

    def on_step_end(self, trainer: Trainer, metrics: Mapping[str, Any], samples: int) -> None:  # noqa: ARG002
        if self._run is not None:
            self._run.step(samples=samples, **metrics)

    def on_epoch_end(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        if self._run is not None:
            self._run.epoch(**metrics)
        if self._console:
            print(f"epoch {trainer.epoch}", *(f"{name} {value:.4f}" for name, value in metrics.items()), sep="  ")


class ModelSaveCallback(Callback):
    """The weights after every so many epochs, as .pth: with a run's checkpoints, or in a folder."""

    def __init__(self, to: Recording | str | os.PathLike[str], *, every: int = 1) -> None:
        self._to, self._every = to, every

    def on_epoch_end(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        if trainer.epoch % self._every:
            return
        if isinstance(self._to, Recording):
            self._to.checkpoint()
            return
        path = Path(self._to) / f"epoch-{trainer.epoch:04d}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(trainer.model.state_dict(), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)  # whole, whenever the process is killed
