"""Small Keras models, their data, and what a run of their training holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from recorder import open_run, record

WAYS = {"graph": {"jit_compile": False}, "xla": {"jit_compile": True}, "eager": {"run_eagerly": True}}


def layers() -> list[keras.Layer]:
    """Dropout, batch normalisation, convolution: everything with a state or a draw of its own."""
    return [
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(5, activation="tanh", name="hidden"),
        keras.layers.Dense(3, activation="softmax", name="out"),
    ]


def classifier(optimizer: Any = "adam", *, seed: int = 1, **compiled: Any) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((6, 6, 2)), *layers()], name="net")
    compiled = {"jit_compile": False, "metrics": ["accuracy"], **compiled}
    model.compile(optimizer=keras.optimizers.get(optimizer), loss="sparse_categorical_crossentropy", **compiled)
    return model


def patches(count: int = 40, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, count)


def linear(
    optimizer: Any, *, loss: Any = "mse", units: int = 2, inputs: int = 3, dtype: Any = None, **compiled: Any
) -> keras.Model:
    """One layer without a bias, from weights of 1: its gradient is known in closed form."""
    model = keras.Sequential(
        [keras.Input((inputs,)), keras.layers.Dense(units, use_bias=False, kernel_initializer="ones", dtype=dtype)]
    )
    model.compile(optimizer=optimizer, loss=loss, **{"jit_compile": False, **compiled})
    return model


def gradient(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Of the mean squared output of `linear` at targets of 0."""
    out = x @ w
    return 2 * x.T @ out / out.size


def weights(model: keras.Model) -> list[bytes]:
    """Everything that training may change, bit for bit."""
    held = [*model.variables, *(model.optimizer.variables if getattr(model, "optimizer", None) else ())]
    return [np.asarray(v).tobytes() for v in held]


def recorded(model: keras.Model, path: Path, x: np.ndarray, y: np.ndarray, options: Any = None, **fit: Any) -> Any:
    """The run of one `fit`."""
    with record(model, path, progress=False, **{"strict": True, **(options or {})}) as run:
        model.fit(x, y, **{"verbose": 0, "shuffle": False, **fit}, callbacks=[run.callback()])
    return open_run(path)


def updates(run: Any, name: str) -> tuple[list[int], np.ndarray]:
    """-> the steps at which the first tensor has a value, and these values."""
    column = run[name].values[:, 0]
    there = ~np.isnan(column)
    return run[name].step[there].tolist(), column[there]
