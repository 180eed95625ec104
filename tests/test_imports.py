"""Does each door load only what it needs? Asked of fresh interpreters, since this one has everything loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.runfile.schema import Kind, Series
from recorder.runfile.writer import RunWriter

ROOT = Path(__file__).parents[1]
LOOPS = ("lightning", "pytorch_lightning", "transformers", "accelerate")
FRAMEWORKS = ("torch", "torchvision", "tensorflow", "keras", "jax", *LOOPS)
RECORDING = ("recorder.recording.record", "recorder.adapters", "recorder.loops")


def loaded(code: str, wanted: tuple[str, ...], *, path: Path = ROOT, cwd: Path = ROOT) -> list[str]:
    """Which of the `wanted` modules are loaded once a fresh interpreter has run `code`."""
    report = f"\nimport sys, json\nprint('\\n' + json.dumps([m for m in {list(wanted)} if m in sys.modules]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, cwd=cwd, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 20 losses."""
    path = tmp_path_factory.mktemp("runs") / "small.h5"
    writer = RunWriter(path, meta={})
    losses = Series("scalars", Kind.SCALAR, "", "Scalars.", ("loss",), dtype="float64", item_dim="scalar", axis="step")
    writer.declare(losses)
    for step in range(20):
        writer.append("step", step=step, epoch=0, time=float(step), values={"scalars": {"loss": 1 / (1 + step)}})
    writer.close()
    return path


DOORS = {
    "recorder": (*FRAMEWORKS, "numpy", "h5py", "numba", "matplotlib", "textual"),
    "recorder.recording.record": (*FRAMEWORKS, "matplotlib", "textual", "plotext", "tensorboard"),
    "recorder.adapters": (*FRAMEWORKS, "h5py"),
    "recorder.measuring.arguments": (*FRAMEWORKS, *RECORDING, "numpy", "h5py", "numba"),
    "recorder.measuring.measure": (*FRAMEWORKS, "safetensors", "matplotlib", "textual", "plotext"),
    "recorder.instruments": (*FRAMEWORKS, "h5py", "matplotlib", "textual"),
    "recorder.runfile.reader": (*FRAMEWORKS, "numba", "matplotlib", "textual"),
    "tui.cli": (*FRAMEWORKS, *RECORDING, "h5py", "numba", "matplotlib", "textual"),
    "tui.app": (*FRAMEWORKS, *RECORDING, "numba", "sklearn", "scipy", "matplotlib"),
    "tui.export": (*FRAMEWORKS, *RECORDING, "textual"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_loads_only_what_it_needs(door: str) -> None:
    assert loaded(f"import {door}", DOORS[door]) == []


@pytest.mark.parametrize(
    ("arguments", "also_absent"),
    [
        pytest.param(["info", "{run}"], ("matplotlib", "textual"), id="info"),
        pytest.param(["ls", "{folder}", "--json"], ("matplotlib", "textual"), id="ls"),
        pytest.param(["export", "{run}", "loss", "-o", "{folder}/loss.pdf", "--force"], (), id="export"),
    ],
)
def test_browsing_and_exporting_never_load_a_framework(
    run: Path, arguments: list[str], also_absent: tuple[str, ...]
) -> None:
    filled = [a.format(run=run, folder=run.parent) for a in arguments]
    code = f"from tui.cli import main\ncode = main({filled!r})\nassert not code, code"
    assert loaded(code, (*FRAMEWORKS, *RECORDING, *also_absent)) == []


def test_the_check_can_fail(tmp_path: Path) -> None:
    """A module that reaches for a framework is caught, also when it hides the import in a function."""
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "innocent.py").write_text("def work():\n    import torch\n\nwork()\n")
    assert loaded("import innocent", FRAMEWORKS, path=tmp_path) == ["torch"]
