"""A long or wide run: what grows with it, and what must not."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from benchmarks.long import NORMS, Variant, read, write
from recorder.runfile.guard import CHUNK_CACHE, close, open_checked
from recorder.runfile.reader import Run
from recorder.runfile.volume import Volume
from recorder.runfile.writer import RunWriter
from recorder.view import Window
from tests.runfile import runs
from tests.runfile.runs import ALL, append
from tests.runfile.test_writer import check


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_logs_that_wait_for_hdf5_hold_no_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(Volume, "commit", fails)
        writer = RunWriter(tmp_path / "a.h5", meta={}, block_bytes=1 << 10)
        writer.declare(*ALL)
        append(writer, range(1_000))
        assert len([name for name in os.listdir(tmp_path / "a.d") if name.startswith("log-")]) > 60
        assert open_files() - before < 10
    writer.close()  # what it says of the disk is tested in test_full_disk
    with Run.open(tmp_path / "a") as run:
        check(run, 1_000)


def test_what_the_benchmark_writes_is_read_and_counted(tmp_path: Path) -> None:
    path, variant = tmp_path / "a.h5", Variant(items=20, scalars=5, due=2)
    wrote = write(path, variant, 3_000)
    assert wrote["steps"] == 3_000
    assert wrote["descriptors"] > 0
    assert read(path)["open_s"] > 0
    with Run.open(path) as run:
        assert run.axes == {"step": 3_000, "norms": 600}
        assert run.window(NORMS[0], Window(points=50)).max.shape == (50, 20)


def test_ten_thousand_items_and_five_hundred_metrics(tmp_path: Path) -> None:
    path = tmp_path / "wide.h5"
    write(path, Variant(items=10_000, scalars=500), 200)
    table = np.random.default_rng(0).random((1009, 10_000), dtype=np.float32)
    with Run.open(path) as run:
        assert len(run.series["scalars"].items) == 500
        assert len(run.series[NORMS[0]].items) == 10_000
        np.testing.assert_array_equal(run.row(NORMS[2], 123)[1], table[123])
        last = run.series[NORMS[0]].items[-1]
        np.testing.assert_array_equal(run.values(NORMS[0], last), table[:200, -1])


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "cut short"])
def test_hdf5_keeps_little_of_each_dataset_that_was_read(tmp_path: Path, sealed: bool) -> None:
    path, left = tmp_path / "a.h5", tmp_path / "left.h5"
    writer = runs.write(path, 400, close=sealed)
    with nullcontext() if sealed else runs.at_rest(writer):
        shutil.copy(path, left)  # HDF5 shares the cache of a file that this process writes
    writer.close()
    file = open_checked(left)
    assert file.swmr_mode is not sealed
    assert file["axes/step/step"].id.get_access_plist().get_chunk_cache()[1] == CHUNK_CACHE
    close(file)
