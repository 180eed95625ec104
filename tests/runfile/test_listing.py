"""A folder of runs is listed as it is, whatever else lies in it."""

import os
import shutil
import sys
from pathlib import Path

import h5py
import pytest

from recorder.runfile import listing
from recorder.runfile.listing import list_runs
from recorder.runfile.schema import Event, State
from tests.runfile.runs import START, append, at_rest, write


def test_each_run_tells_how_it_does(tmp_path: Path) -> None:
    write(tmp_path / "old.h5", 40, lr=0.1)
    os.utime(tmp_path / "old.h5", (START, START))
    live = write(tmp_path / "sub" / "live.h5", 12, close=False)
    live.event(Event("health", "fc1 is dead", 11, 1, START))
    found = {r.name: r for r in list_runs(tmp_path)}
    assert list(found) == ["live", "old"]  # the newest first
    old, new = found["old"], found["live"]
    assert (old.state, old.steps, old.epochs, old.framework, old.mtime) == (State.DONE, 40, 3, "none", START)
    assert old.path == tmp_path / "old.h5"
    assert old.loss == 1 / 40
    assert old.losses == tuple(1 / (s + 1) for s in range(40))
    assert old.size == (tmp_path / "old.h5").stat().st_size
    assert old.meta["lr"] == 0.1
    assert (new.state, new.steps, new.loss) == (State.RECORDING, 12, 1 / 12)
    assert [e.text for e in new.health] == ["fc1 is dead"]
    live.close()


def test_long_trainings_have_short_sparklines(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 1000, block_bytes=1 << 16)
    (run,) = list_runs(tmp_path)
    assert len(run.losses) == listing.LOSSES
    assert list(run.losses) == sorted(run.losses, reverse=True)


def test_a_run_that_has_only_logs_is_listed_once(tmp_path: Path) -> None:
    live = write(tmp_path / "a.h5", 12, block_bytes=1 << 20, close=False)
    with at_rest(live):
        shutil.copytree(tmp_path / "a.d", tmp_path / "b.d")
    os.utime(tmp_path / "b.d" / "lock", (0, 0))
    found = {r.name: r for r in list_runs(tmp_path)}
    assert (found["b"].state, found["b"].steps) == (State.KILLED, 12)
    assert len(found) == 2
    live.close()


def test_a_damaged_run_is_listed_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 300)
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    found = {r.name: r for r in list_runs(tmp_path)}
    assert found["cut"].state is State.DAMAGED
    assert "is cut off" in found["cut"].error
    assert found["cut"].size == len(whole) // 2
    assert found["a"].state is State.DONE


def test_foreign_files_are_neither_listed_nor_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["layer"] = [1.0]
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "folder.h5").mkdir()
    os.mkfifo(tmp_path / "fifo.h5")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "link.h5").symlink_to(tmp_path / "nowhere.h5")
    live = write(tmp_path / "run.h5", 3, close=False)
    checkpoint = tmp_path / "run.d" / "checkpoints" / "step-1.weights.h5"
    checkpoint.parent.mkdir()
    shutil.copy(tmp_path / "weights.h5", checkpoint)
    live.close()
    opened: list[str] = []
    real = h5py.File

    def spy(path: Path, *args: object, **settings: object) -> h5py.File:
        opened.append(Path(path).name)
        return real(path, *args, **settings)

    monkeypatch.setattr(h5py, "File", spy)
    monkeypatch.setattr(listing, "record_of", lambda path, **_: listing.read_record(path, trusted=True))  # in here
    assert [r.name for r in list_runs(tmp_path)] == ["run"]
    assert set(opened) == {"run.h5"}


def test_an_empty_or_missing_folder_has_no_runs(tmp_path: Path) -> None:
    assert list(list_runs(tmp_path)) == []
    assert list(list_runs(tmp_path / "nowhere")) == []


def test_depth_is_limited(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "c.h5", 2)
    assert [r.name for r in list_runs(tmp_path, depth=2)] == ["c"]
    assert list(list_runs(tmp_path, depth=1)) == []


def test_the_first_runs_come_before_the_last_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(5):
        write(tmp_path / f"{k}.h5", 1)
    read: list[str] = []
    real = listing.record_of
    monkeypatch.setattr(listing, "record_of", lambda path, **more: read.append(path.name) or real(path, **more))
    runs = list_runs(tmp_path)
    next(runs)
    assert len(read) == 1


def test_a_run_changing_while_it_is_listed(tmp_path: Path) -> None:
    live = write(tmp_path / "a.h5", 3, close=False)
    seen = []
    for start in range(3, 60, 3):
        append(live, range(start, start + 3))
        seen += [r.steps for r in list_runs(tmp_path)]
    assert seen == list(range(6, 63, 3))
    live.close()


def test_checkpoints_and_other_files_are_neither_opened_nor_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "record_of", lambda path, **_: listing.read_record(path, trusted=True))  # in here
    write(tmp_path / "a.h5", 40)
    folder = tmp_path / "a.d" / "checkpoints"
    folder.mkdir(parents=True)
    for k in range(300):
        with open(folder / f"step-{k:06}.pth", "wb") as file:
            file.truncate(1 << 30)  # 300 GB, of holes
        (tmp_path / f"other{k}.txt").touch()
    opened: list[str] = []
    listening = True

    def heard(event: str, args: tuple[object, ...]) -> None:
        if listening and event in ("open", "os.listdir", "os.scandir"):
            opened.append(str(args[0]))

    sys.addaudithook(heard)
    (run,) = list_runs(tmp_path)
    listening = False
    assert (run.steps, run.size) == (40, (tmp_path / "a.h5").stat().st_size)
    assert not [path for path in opened if ".pth" in path or ".txt" in path or "/checkpoints" in path]
    assert len(opened) < 20
