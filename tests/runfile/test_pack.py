"""Packing changes where rows are, and nothing else."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from recorder.errors import RunExistsError, RunFileError
from recorder.runfile import pack as packing
from recorder.runfile.declaration import Declaration, write_sidecar
from recorder.runfile.describe import describe
from recorder.runfile.pack import pack, repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind, Series, State
from recorder.runfile.writer import RunWriter
from tests.runfile.runs import START, append, at_rest, write
from tests.runfile.test_writer import check


def in_parts(path: Path) -> RunWriter:
    """A live run with 60 rows, a part, an event and rows still in logs."""
    writer = write(path, 40, close=False, seed=7)
    writer.event(Event("phase", "second", 40, 4, START))
    writer.declare(Series("scalars", Kind.SCALAR, "", "", ("late",), dtype="float64", axis="step"))
    for step in range(40, 60):
        append(writer, [step])
        writer.append("step", step=step, epoch=step // 10, time=START + step, values={"scalars": {"late": step / 3}})
    return writer


def same(one: Run, other: Run) -> None:
    assert one.series == other.series
    assert one.meta == other.meta
    assert one.events == other.events
    for name, s in one.series.items():
        for item in s.items:
            for a, b in zip(vars(one.clock(name, item)).values(), vars(other.clock(name, item)).values(), strict=True):
                np.testing.assert_array_equal(a, b)
            assert one.values(name, item).tobytes() == other.values(name, item).tobytes()


def killed_copy(writer: RunWriter, to: Path) -> None:
    """What a SIGKILL leaves of a live run, once it has its files."""
    with at_rest(writer):
        shutil.copy(writer.path, to)
        shutil.copytree(writer.folder, to.with_suffix(".d"))
    (to.with_suffix(".d") / "lock").write_text('{"host": "", "pid": 0, "namespace": ""}')
    os.utime(to.with_suffix(".d") / "lock", (0, 0))


def test_a_live_run_packs_into_one_sealed_file(tmp_path: Path) -> None:
    writer = in_parts(tmp_path / "a.h5")
    out = pack(tmp_path / "a.h5", tmp_path / "one")
    assert out == tmp_path / "one.h5"
    with Run.open(tmp_path / "a") as live, Run.open(out) as packed:
        assert live.state is State.RECORDING
        assert packed.state is State.KILLED
        same(live, packed)
        check(packed, 60)
    writer.close()


def test_a_clean_exit_packs_a_small_run_by_itself(tmp_path: Path) -> None:
    assert in_parts(tmp_path / "a.h5").close() == ""
    assert os.listdir(tmp_path) == ["a.h5"]
    with Run.open(tmp_path / "a") as run:
        assert (run.state, run.parts) == (State.DONE, 1)
        check(run, 60)
        np.testing.assert_array_equal(run["late"].values, np.arange(40, 60) / 3)


def test_a_large_run_stays_in_parts_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.runfile.mover.PACK_BYTES", 10)
    said = in_parts(tmp_path / "a.h5").close()
    assert said.startswith("the run is in 2 parts; to make one file: layerscope repair")
    with Run.open(tmp_path / "a") as run:
        check(run, 60)
    repair(tmp_path / "a.h5")
    assert os.listdir(tmp_path) == ["a.h5"]


def test_repair_keeps_checkpoints_and_everything_else(tmp_path: Path) -> None:
    writer = in_parts(tmp_path / "a.h5")
    killed_copy(writer, tmp_path / "b.h5")
    (tmp_path / "b.d" / "checkpoints").mkdir()
    (tmp_path / "b.d" / "checkpoints" / "step-000001.pth").write_bytes(b"weights")
    with Run.open(tmp_path / "b") as run:
        assert run.state is State.KILLED
        repair(tmp_path / "b")
        with Run.open(tmp_path / "b") as repaired:
            same(run, repaired)
            assert repaired.state is State.KILLED
            assert repaired.ended == START + 59
        assert run.refresh()  # a reader notices that the file was replaced
        check(run, 60)
    assert sorted(os.listdir(tmp_path / "b.d")) == ["checkpoints"]
    assert (tmp_path / "b.d" / "checkpoints" / "step-000001.pth").read_bytes() == b"weights"
    writer.close()


def test_repair_removes_what_a_dying_process_had_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between writing a file of the folder and giving it its name."""
    write(tmp_path / "a.h5", 5)
    unfinished = tmp_path / "a.d" / "volume-0001.json"
    unfinished.parent.mkdir()
    monkeypatch.setattr("recorder.runfile.declaration.os.replace", lambda *_: None)
    write_sidecar(unfinished, Declaration())
    monkeypatch.undo()
    assert len(os.listdir(unfinished.parent)) == 1
    repair(tmp_path / "a.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_repair_that_dies_before_cleaning_up_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = in_parts(tmp_path / "a.h5")
    killed_copy(writer, tmp_path / "b.h5")
    with monkeypatch.context() as patch:
        patch.setattr(packing, "log_of", lambda _: None)
        patch.setattr(packing, "part_of", lambda _: None)
        repair(tmp_path / "b")
    assert (tmp_path / "b.d" / "part-0001.h5").exists()
    with Run.open(tmp_path / "a") as run, Run.open(tmp_path / "b") as repaired:
        same(run, repaired)
    repair(tmp_path / "b")
    assert not (tmp_path / "b.d").exists()
    writer.close()


def test_a_copy_that_differs_never_replaces_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = in_parts(tmp_path / "a.h5")
    killed_copy(writer, tmp_path / "b.h5")
    before = (tmp_path / "b.h5").read_bytes()
    monkeypatch.setattr(packing, "_copy_volume", lambda volume, into: None)
    with pytest.raises(RunFileError, match="differs from the original, which was kept"):
        repair(tmp_path / "b")
    assert (tmp_path / "b.h5").read_bytes() == before
    assert not list(tmp_path.glob(".*.new"))
    writer.close()


def test_a_living_run_is_not_repaired_and_no_run_is_overwritten(tmp_path: Path) -> None:
    writer = in_parts(tmp_path / "a.h5")
    with pytest.raises(RunFileError, match="is being recorded by process"):
        repair(tmp_path / "a.h5")
    with pytest.raises(RunExistsError, match="is already there"):
        pack(tmp_path / "a.h5", tmp_path / "a.h5")
    writer.close()


def test_packing_twice_gives_the_same_run(tmp_path: Path) -> None:
    in_parts(tmp_path / "a.h5").close()
    pack(tmp_path / "a", tmp_path / "b")
    pack(tmp_path / "b", tmp_path / "c")
    with Run.open(tmp_path / "a") as a, Run.open(tmp_path / "c") as c:
        same(a, c)
        assert {**describe(a), "path": "", "name": "", "bytes": 0} == {
            **describe(c),
            "path": "",
            "name": "",
            "bytes": 0,
        }


def test_the_level_is_packed_too(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.declare(Series("x", Kind.PER_ITEM, "", "", ("i",), axis="step"))
    for step in range(20_000):
        writer.append("step", step=step, epoch=0, time=START, values={"x": [step]})
    pack(tmp_path / "a", tmp_path / "b")
    writer.close()
    with Run.open(tmp_path / "b") as run:
        assert run.volumes[0].level_buckets("x") == 64
        level = run.volumes[0].level("x", 0, 64, 0, np.arange(64))
        np.testing.assert_array_equal(level.low[:, 0], np.arange(64) * 256)
        np.testing.assert_array_equal(level.high[:, 0], np.arange(64) * 256 + 255)
