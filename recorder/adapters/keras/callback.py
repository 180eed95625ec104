"""How does `model.fit` tell the recording of its batches and epochs?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import keras


class Watching(Protocol):
    """What the callback asks of the adapter."""

    def fit_begins(self, model: Any) -> None: ...
    def block(self) -> list[dict[str, float]]: ...


class RunCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """`model.fit(..., callbacks=[run.callback()])`: each batch is a step, each epoch an epoch of the recording.

    `loss` is that of the batch. Metrics are what Keras shows, their mean since the epoch began; with
    `steps_per_execution` they come with the last batch of each execution. An epoch has what no step has: val_loss, ...
    """

    def __init__(self, run: Any, watching: Watching) -> None:
        super().__init__()
        self._run, self._watching = run, watching
        self._of_steps = {"learning_rate", "loss"}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._watching.fit_begins(self.model)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        *others, last = self._watching.block()
        for numbers in others:
            self._run.step(**numbers)
        self._of_steps.update(logs or ())
        self._run.step(**{**(logs or {}), **last})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._run.epoch(**{name: value for name, value in (logs or {}).items() if name not in self._of_steps})
