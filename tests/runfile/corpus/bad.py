"""What is a bad run, and what is it made of? A good one, or one whose process was killed, and a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tests.runfile.doors import ROOT, SECRET
from tests.runfile.runs import write

KILL = """
import os, sys
from pathlib import Path
from tests.runfile.runs import append, at_rest, write
from recorder.runfile.schema import Kind, Series
path = Path(sys.argv[1])
writer = write(path, 300, close=False)
writer.declare(Series("late", Kind.PER_ITEM, "", "", ("x",), axis="step"))
for step in range(300, 480):
    writer.append("step", step=step, epoch=30, time=1.7e9 + step, values={"late": [step]})
append(writer, range(480, 510))
with at_rest(writer):
    os.kill(os.getpid(), 9)
"""
VIEW = "view"  # it opens, and shows only what is in it
VALUES = "gradient_norm/values"


@dataclass(frozen=True)
class Bad:
    """One item of the corpus."""

    build: Callable[[Path], object]  # of NAME.h5, which is there already
    said: str  # what the error says, or VIEW


def good(folder: Path) -> Path:
    """A run that ended."""
    folder.mkdir(parents=True)
    write(folder / "run.h5", 40)
    return folder / "run.h5"


def killed(folder: Path) -> Path:
    """A run as a SIGKILL leaves it: flagged as being written, with parts, logs, declarations and a silent lock."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", KILL, str(folder / "run.h5")], cwd=ROOT, check=False)
    os.utime(folder / "run.d" / "lock", (0, 0))
    return folder / "run.h5"


def secret(path: Path) -> Path:
    """A file beside the run, not of it."""
    other = path.parent.parent / f"{path.parent.name}.secret"
    other.write_bytes(SECRET * 200)
    return other


def inside(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Opens the file for a change."""

    def build(path: Path) -> None:
        with h5py.File(path, "r+", libver=("v110", "v110"), locking=False) as file:
            change(file)

    return build


def put(file: h5py.File, shape: tuple[int, ...] = (40, 3), dtype: object = "f4", **storage: object) -> h5py.Dataset:
    """Another dataset in the place of the norms."""
    del file[VALUES]
    return file.create_dataset(VALUES, shape, dtype, **storage)


def redeclare(file: h5py.File, entries: object, name: str = "series") -> None:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    del file[f"layerscope/{name}"]
    file["layerscope"].create_dataset(name, data=np.frombuffer(text, np.uint8))
