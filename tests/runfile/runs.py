"""Small runs for the tests of the run file, whose every number follows from its step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from recorder.runfile.schema import Kind, Series, State
from recorder.runfile.writer import RunWriter

START = 1.7e9
TENSORS = ("fc1.weight", "fc1.bias", "fc2.weight")
SCALARS = Series(
    "scalars", Kind.SCALAR, "", "Scalars.", ("loss", "rate"), dtype="float64", item_dim="scalar", axis="step"
)
NORM = Series("gradient_norm", Kind.PER_ITEM, "loss / weight", "Its norm.", TENSORS, item_dim="tensor", axis="step")
HISTOGRAM = Series(
    "weight_histogram", Kind.DISTRIBUTION, "count", "Counts.", TENSORS, (7,), ("bin",), "uint32", "tensor",
    "each_epoch", edges=(-1.0, -0.5, 0.0, 0.5, 1.0),
)  # fmt: skip
RAW = Series(
    "raw", Kind.RAW, "", "Whole tensors.", ("w", "values", "a/b c"), axis="each_epoch", ragged=((2, 3), (4,), ())
)
ALL = (SCALARS, NORM, HISTOGRAM, RAW)
PER_EPOCH = 10


def norms(step: int) -> np.ndarray:
    values = np.sin(step + np.arange(3)).astype("f4")
    if step % 7 == 3:
        values[1] = np.nan
    if step % 11 == 5:
        values[2] = np.inf
    return values


def histogram(step: int) -> np.ndarray:
    return (np.arange(21).reshape(3, 7) * (step + 1)).astype("u4")


def raw(step: int) -> list[np.ndarray]:
    return [np.full((2, 3), step + 0.5, "f4"), np.arange(4, dtype="f4") - step, np.float32(step)]


def append(writer: RunWriter, steps: Iterable[int]) -> None:
    for step in steps:
        clock = {"step": step, "epoch": step // PER_EPOCH, "time": START + step}
        scalars = {"loss": 1 / (step + 1), "rate": 0.1}
        writer.append("step", **clock, values={"scalars": scalars, "gradient_norm": norms(step)})
        if step % PER_EPOCH == 0:
            writer.append("each_epoch", **clock, values={"weight_histogram": histogram(step), "raw": raw(step)})


def write(
    path: Path, steps: int = 25, *, block_bytes: int = 1 << 12, close: bool = True, **settings: object
) -> RunWriter:
    """A run of `steps` steps at `path`; small blocks, so that it has many."""
    writer = RunWriter(path, meta={"framework": "none", **settings}, block_bytes=block_bytes)
    writer.declare(*ALL)
    append(writer, range(steps))
    if close:
        assert writer.close(State.DONE) == ""
    return writer


def until(done: Callable[[], object]) -> None:
    """Wait for what another thread or process does; it takes moments, also on a machine that is busy."""
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@contextmanager
def at_rest(writer: RunWriter) -> Iterator[None]:
    """Every full block of a live run is in HDF5, and while this lasts nothing moves."""
    mover = writer._mover
    until(lambda: not mover.full and all(part.volume is not None for part in mover.parts if part.begun))
    with mover._open.lock:
        yield
