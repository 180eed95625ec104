"""What does a network do at every step while it learns to see? A small Keras CNN on patches of ten photographs.

Three 3 x 3 convolutions (16, 32 and 64 channels), a maximum over 2 x 2 behind each, a layer of 64, one of 10; ReLU,
Adam; 90 k parameters. It is recorded as any user would record it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf  # noqa: F401  missing, it would be noticed only after the data were read

from recorder.analysis.classification import classification
from recorder.errors import RecordError
from recorder.recipes import photos
from recorder.recording.checkpoint import Checkpoints
from recorder.recording.record import record
from recorder.schedule import each_epoch

Source = Literal["photos", "cifar10"]
SOURCES: tuple[Source, ...] = ("photos", "cifar10")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PROBE = 256  # validation images that are watched


def network(classes: int = 10) -> keras.Model:
    """The CNN, untrained; it takes pixels from -1 to 1."""
    pixels = x = keras.Input((photos.PATCH, photos.PATCH, 3), name="pixels")
    for k, channels in enumerate((16, 32, 64), start=1):
        x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{k}")(x)
        x = keras.layers.MaxPooling2D(name=f"pool{k}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    above = keras.initializers.Constant(0.1)  # fewer units die in the first steps
    x = keras.layers.Dense(64, activation="relu", bias_initializer=above, name="dense")(x)
    return keras.Model(pixels, keras.layers.Dense(classes, name="output")(x), name="photo_cnn")


def load(source: Source = "photos") -> photos.Patches:
    """The patches, or CIFAR-10 by Keras's own loader, downloaded into Keras's cache when it is not there."""
    if source == "photos":
        return photos.load()
    if source != "cifar10":
        raise RecordError(f"no images are called {source!r}; choose from {', '.join(SOURCES)}")
    try:
        (images, labels), (held_images, held_labels) = keras.datasets.cifar10.load_data()
    except Exception as problem:  # Keras raises a plain one where there is no network
        raise RecordError(
            f"CIFAR-10 could not be loaded ({problem}); Keras downloads it once into ~/.keras/datasets, or into "
            "$KERAS_HOME/datasets. --data photos needs no download"
        ) from problem
    return photos.Patches(
        images, labels[:, 0].astype(np.int64), held_images, held_labels[:, 0].astype(np.int64), CIFAR10
    )


class Judged(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Adds precision, recall and F1 on the validation images to the numbers of an epoch, for callbacks behind it."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__()
        self._images, self._labels = images, labels

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        if logs is not None:
            answers = self.model.predict(self._images, batch_size=PROBE, verbose=0)
            logs.update(classification(self._labels, answers, prefix="val_"))


def main(
    path: str | os.PathLike[str],
    *,
    data: Source = "photos",
    epochs: int = 10,
    batch: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    tensorboard: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Path:
    """Train and record; the path of the run."""
    patches = load(data)
    images, held = (pixels.astype(np.float32) / 127.5 - 1 for pixels in (patches.images, patches.validation_images))
    keras.utils.set_random_seed(seed)
    model = network(len(patches.classes))
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    settings = {"recipe": "photo_cnn", "data": data, "epochs": epochs, "batch": batch, "seed": seed}
    chosen = np.random.default_rng(seed).permutation(len(held))[:PROBE]  # of every class
    with record(
        model,
        path,
        probe=(held[chosen], patches.validation_labels[chosen]),
        instruments="full",
        checkpoints=Checkpoints(every=each_epoch, best="val_accuracy"),
        meta=settings | {"learning_rate": learning_rate, "classes": list(patches.classes)},
        tensorboard=tensorboard,
        progress=progress,
    ) as run:
        model.fit(
            images,
            patches.labels,
            batch_size=batch,
            epochs=epochs,
            validation_data=(held, patches.validation_labels),
            callbacks=[Judged(held, patches.validation_labels), run.callback()],
            verbose=0,
        )
        if progress and sys.stdout.isatty():
            print(run)
    return run.path
