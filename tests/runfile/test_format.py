"""docs/format.md tells the truth: its ten lines read a run, and its table is what is in the file."""

import re
import subprocess
import sys
from pathlib import Path

import h5py

from tests.runfile.runs import ALL, TENSORS, norms, write

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def test_the_ten_lines_read_a_run(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 22)
    code = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[-1]
    assert len([line for line in code.splitlines() if line.strip()]) == 10
    told = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.h5"], check=True, capture_output=True, text=True
    ).stdout
    for s in ALL:
        assert f"{s.name} [{s.unit}]: {s.doc}" in told
    assert "22 rows" in told
    for name, value in zip(TENSORS, norms(21), strict=True):
        assert f"'{name}': {value!r}" in told


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
