"""docs/format.md tells the truth: its code reads a run, also of a process that was killed; its tables are the file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from recorder.runfile.declaration import Status
from recorder.runfile.left_out import KINDS
from recorder.runfile.log import MAGIC
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Series
from tests.runfile.runs import ALL, START, TENSORS, norms, raw, write

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
READS_A_LOG, READS_A_RUN = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
STEPS = 90

# Dies with rows in HDF5 and rows in logs: it waits until the first log was moved.
DIES = """
import os, signal, sys, time
from pathlib import Path
from tests.runfile.runs import append, write
path = Path(sys.argv[1])
writer = write(path, 80, close=False)  # a block has 64 rows
while (path.with_suffix(".d") / "log-0000-step-000000000000").exists():
    time.sleep(0.01)
append(writer, range(80, 90))
os.kill(os.getpid(), signal.SIGKILL)
"""


def told(code: str, *words: object) -> str:
    """What the code of the document prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("killed") / "a.h5"
    dead = subprocess.run([sys.executable, "-c", DIES, path], cwd=Path(__file__).parents[2], timeout=120)
    assert dead.returncode == -9
    return path


def test_the_ten_lines_read_a_run(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 22)
    assert len([line for line in READS_A_RUN.splitlines() if line.strip()]) == 10
    said = told(READS_A_RUN, tmp_path / "a.h5")
    for s in ALL:
        assert f"{s.name} [{s.unit}]: {s.doc}" in said
    assert "22 rows" in said
    for name, value in zip(TENSORS, norms(21), strict=True):
        assert f"'{name}': {value!r}" in said


def test_a_killed_run_is_its_file_and_its_logs(killed: Path) -> None:
    opened = "h5py.File(sys.argv[1], swmr=True, locking=False)"
    assert opened in DOCUMENT
    said = told(READS_A_RUN.replace("h5py.File(sys.argv[1])", opened), killed)
    committed = int(re.search(r"gradient_norm .* (\d+) rows at steps", said)[1])  # type: ignore[index]
    assert 0 < committed < STEPS
    lines = told(READS_A_LOG, killed.with_suffix(".d"), "step").splitlines()
    logged = {int(line.split(" ")[0]): line for line in lines}
    assert set(range(committed)) | logged.keys() == set(range(STEPS))
    last = logged[STEPS - 1]
    assert f"step={STEPS - 1} epoch={(STEPS - 1) // 10} time={START + STEPS - 1}" in last
    assert f"gradient_norm={norms(STEPS - 1)}" in last
    with Run.open(killed) as run:
        assert len(run.clock("gradient_norm")) == STEPS


def test_a_log_of_items_of_different_shapes_is_read(killed: Path) -> None:
    lines = told(READS_A_LOG, killed.with_suffix(".d"), "each_epoch")
    assert f"raw/a/b c={raw(80)[2]}" in lines
    assert "raw/values=[-80. -79. -78. -77.]" in lines


def test_a_torn_frame_ends_a_log(killed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a.d"
    folder.mkdir()
    for name in ("volume-0000.json", *(p.name for p in killed.with_suffix(".d").glob("log-0000-step-*"))):
        (folder / name).write_bytes((killed.with_suffix(".d") / name).read_bytes())
    last = max(folder.glob("log-*"))
    whole = told(READS_A_LOG, folder, "step").splitlines()
    data = bytearray(last.read_bytes())
    data[-1] ^= 1  # the CRC-32 of the last frame is wrong
    last.write_bytes(data)
    assert told(READS_A_LOG, folder, "step").splitlines() == whole[:-1]
    last.write_bytes(data[: len(data) - 3])
    assert told(READS_A_LOG, folder, "step").splitlines() == whole[:-1]


def test_xarray_opens_a_series_as_the_document_says(tmp_path: Path) -> None:
    write(tmp_path / "NAME.h5", 22)
    (line,) = re.findall(r"xarray\.open_dataset\(.*\)", DOCUMENT)
    line = line.replace('"NAME.h5"', repr(str(tmp_path / "NAME.h5")))
    dataset = eval(line, {"xarray": xarray})
    np.testing.assert_array_equal(dataset["values"].to_numpy()[21], norms(21))


def test_everything_in_the_file_is_in_the_table(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 22)
    known = {"format", "layerscope", "Conventions"}
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file.attrs) == known
        assert all(f"`{name}`" in DOCUMENT for name in known)
        assert set(file["layerscope"]) == {"series", "meta", "status"}
        assert all(f"`/layerscope/{name}`" in DOCUMENT for name in file["layerscope"])
        for axis in file["axes"].values():
            assert set(axis) == {"step", "epoch", "time", "committed"}
            assert all(f"`/axes/<axis>/{name}`" in DOCUMENT for name in axis)
        assert set(file) == {"axes", "events", "layerscope", *(s.name for s in ALL)}
        assert {"kind", "text"} < set(file["events"])
        dimensions = {"bucket", "min_mean_max_nonfinite", "step", "epoch", "time", "tensor", "bin"}
        assert set(file["gradient_norm"]) - dimensions == {"values", "level"}
        assert set(file["weight_histogram"]) - dimensions == {"values", "edges"}
        assert file["gradient_norm/step"] == file["axes/step/step"]
        declared = json.loads(file["layerscope/series"][:].tobytes())
        assert set(declared[0]) == {f.name for f in fields(Series)}


def test_every_key_and_kind_is_explained() -> None:
    for name in (*(f.name for f in fields(Series)), *(f.name for f in fields(Status)), *KINDS):
        assert f"`{name}`" in DOCUMENT, name
    assert f"`{MAGIC:#010x}`".lower() in DOCUMENT.lower()
    assert [f.name for f in fields(Event)] == ["kind", "text", "step", "epoch", "time"]


def test_a_sidecar_holds_what_the_document_says(killed: Path) -> None:
    sidecar = json.loads((killed.with_suffix(".d") / "volume-0000.json").read_text())
    assert {"format", "series", "meta", "status"} <= set(sidecar)
    assert sidecar["format"] == 1
