"""How much slower is a Keras training step with recording?

.venv-keras/bin/python benchmarks/overhead_keras.py [ROUNDS] [NAME...]

A small CNN (0.32 million parameters) on batches of 64 pictures of 32 x 32 and the MLP of 0.57 million parameters on
batches of 128 digits, compiled by XLA (Keras's default) and as graphs without it, on one thread. A bare and a recorded
training take turns, 40 steps of `fit` at a time; printed are the medians over the rounds of the ratio of seconds and of
CPU seconds. Names choose networks, ways and presets; the other results stay as they are: `8 CNN xla`.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from recorder import record

STEPS = 40
BUDGETS = {("CNN 0.32 M", "light"): 1.05, ("CNN 0.32 M", "dynamics"): 1.10}  # in bare steps
OUT = Path(__file__).parent / "results" / "overhead_keras.json"
WAYS = {"XLA": True, "graph": False}  # jit_compile
layers = keras.layers
NETWORKS: dict[str, tuple[int, tuple[int, ...], Callable[[], list[keras.Layer]]]] = {
    "CNN 0.32 M": (
        64,
        (32, 32, 3),
        lambda: [
            layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
            layers.Flatten(), layers.Dropout(0.3), layers.Dense(128, activation="relu"), layers.Dense(10),
        ],
    ),
    "MLP 0.57 M": (
        128,
        (784,),
        lambda: [
            layers.Dense(512, activation="relu"), layers.Dense(256, activation="relu"), layers.Dense(128),
            layers.Dense(10),
        ],
    ),
}  # fmt: skip


def training(name: str, way: str) -> tuple[keras.Model, np.ndarray, np.ndarray, int]:
    """A compiled network, its data and the size of a batch."""
    batch, shape, stack = NETWORKS[name]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *stack()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=WAYS[way])
    rng = np.random.default_rng(0)
    return (
        model,
        rng.standard_normal((STEPS * batch, *shape)).astype(np.float32),
        rng.integers(0, 10, STEPS * batch),
        batch,
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """-> seconds, CPU seconds"""
    began, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - began, process_time() - cpu


def measured(name: str, way: str, preset: str, rounds: int) -> dict[str, Any]:
    bare, x, y, batch = training(name, way)
    watched = training(name, way)[0]
    ratios = []
    with (
        tempfile.TemporaryDirectory() as folder,
        record(watched, f"{folder}/run.h5", instruments=preset, progress=False) as run,
    ):
        callback = run.callback()
        for k in range(rounds + 1):
            alone = timed(lambda: bare.fit(x, y, batch_size=batch, shuffle=False, verbose=0))
            with_us = timed(lambda: watched.fit(x, y, batch_size=batch, shuffle=False, verbose=0, callbacks=[callback]))
            if k:  # the first one traces
                ratios.append((with_us[0] / alone[0], with_us[1] / alone[1], 1e3 * alone[0] / STEPS))
    seconds, cpu, step = (statistics.median(column) for column in zip(*ratios, strict=True))
    budget = BUDGETS.get((name, preset))
    found = {"network": name, "way": way, "preset": preset, "step_ms": step, "ratio": seconds, "cpu_ratio": cpu}
    return found | {"rounds": rounds, "budget": budget}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    asked = [name.lower() for name in sys.argv[2:]]
    for key in itertools.product(NETWORKS, WAYS, ("light", "dynamics")):
        if all(name in " ".join(key).lower() for name in asked):
            row = measured(*key, rounds)
            text = "{network}  {way:<5}  {preset:<9} {step_ms:6.2f} ms a step   {ratio:.3f} x   CPU {cpu_ratio:.3f} x"
            print(text.format(**row) + (f"   budget {row['budget']}" if row["budget"] else ""), flush=True)
            write(key, row)


def write(key: tuple[str, str, str], row: dict[str, Any]) -> None:
    """Put a row in its place among the others."""
    known = json.loads(OUT.read_text())["rows"] if OUT.exists() else []
    rows = {(r["network"], r["way"], r["preset"]): r for r in known} | {key: row}
    ordered = [rows[k] for k in itertools.product(NETWORKS, WAYS, ("light", "dynamics")) if k in rows]
    found = {"keras": keras.__version__, "tensorflow": tf.__version__, "rows": ordered}
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
