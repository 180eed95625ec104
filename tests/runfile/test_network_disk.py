"""Where neither locks nor the order of writes can be trusted, readers only ever meet logs and finished files."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recorder.errors import RecordError
from recorder.runfile import filesystem, mover, outage
from recorder.runfile.filesystem import is_network, kind_of, takes_live_files
from recorder.runfile.guard import is_open_for_writing
from recorder.runfile.layout import log_of
from recorder.runfile.pack import pack, repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import Kind, Series, State
from recorder.runfile.writer import RunWriter
from tests.runfile.runs import START, append, until, write
from tests.runfile.test_writer import check

ROOT = Path(__file__).parents[2]
MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 27 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw
31 30 0:41 / /home/me/local rw - xfs /dev/sdb rw
32 27 0:42 / /scratch rw - lustre mds@tcp:/scratch rw
33 27 0:43 / /mnt/my\040disk rw - fuse.sshfs me@host: rw
34 27 0:44 / /home2 rw - btrfs /dev/sdc rw
35 27 0:45 / /over rw - ext4 /dev/sdd rw
36 35 0:46 / /over rw - beegfs beegfs rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/data/x", "ext4", False),
        ("/home/me/runs/a.d", "nfs4", True),
        ("/home/me/local/runs", "xfs", False),
        ("/home2/runs", "btrfs", False),  # not below /home
        ("/scratch", "lustre", True),
        ("/mnt/my disk/runs", "fuse.sshfs", True),
        ("/over/runs", "beegfs", True),  # what is mounted last is seen
    ],
)
def test_the_disk_of_a_path_is_the_mount_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, network: bool
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS.lstrip())
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.delenv("LAYERSCOPE_STORAGE", raising=False)
    assert (kind_of(path), is_network(kind)) == (kind, network)
    assert takes_live_files(path) is not network
    monkeypatch.setenv("LAYERSCOPE_STORAGE", "hdf5")
    assert takes_live_files(path)
    monkeypatch.setenv("LAYERSCOPE_STORAGE", "logs")
    assert not takes_live_files(path)
    monkeypatch.setenv("LAYERSCOPE_STORAGE", "swmr")
    with pytest.raises(RecordError, match="LAYERSCOPE_STORAGE='swmr': expected 'hdf5'"):
        takes_live_files(path)


def test_where_nothing_is_known_of_mounts_a_disk_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "none")
    monkeypatch.delenv("LAYERSCOPE_STORAGE", raising=False)
    assert takes_live_files(tmp_path)


class Refusing(h5py.File):
    """HDF5 on a file system without locks, where SWMR must not be used either."""

    def __init__(self, name: Any, mode: str = "r", **options: Any) -> None:
        on_disk = isinstance(name, str | os.PathLike)
        if on_disk and (options.get("swmr") or options.get("locking", True) is not False):
            raise OSError(38, "unable to lock file, errno = 38, error message = 'Function not implemented'")
        super().__init__(name, mode, **options)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses flock and SWMR."""

    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)

    def start(*_: object) -> None:
        raise RuntimeError("unable to start SWMR writing (file locking is not supported here)")

    monkeypatch.setattr(h5py.File, "swmr_mode", property(h5py.File.swmr_mode.fget, start))
    monkeypatch.setattr(h5py, "File", Refusing)
    monkeypatch.setattr(mover, "SEGMENT_BYTES", 20_000)
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)


@pytest.mark.parametrize("detected", [True, False])
@pytest.mark.parametrize("steps", [0, 5, 300, 2500])
def test_nothing_is_lost_where_flock_and_swmr_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: None, detected: bool, steps: int
) -> None:
    if detected:
        monkeypatch.setenv("LAYERSCOPE_STORAGE", "logs")
    writer = write(tmp_path / "a.h5", 0, close=False)
    for stop in range(500, steps + 500, 500):
        append(writer, range(stop - 500, min(stop, steps)))
        with Run.open(tmp_path / "a") as run:
            check(run, min(stop, steps))
    if steps:
        until(lambda: "rows stay in logs until" in writer.storage)
        for file in (*tmp_path.glob("*.h5"), *tmp_path.glob("a.d/part-*.h5")):
            assert not is_open_for_writing(file)
    if steps == 2500:
        until((tmp_path / "a.h5").exists)  # finished parts come while it goes on
    assert writer.close() == ""
    assert os.listdir(tmp_path) == ["a.h5"]
    with Run.open(tmp_path / "a") as run:
        check(run, steps)
        assert (run.state, run.parts) == (State.DONE, 0)  # one volume again: xarray opens every row
        assert run.steps == steps
    with h5py.File(tmp_path / "a.h5", locking=False) as file:
        assert file["axes/step/committed"][()] == steps


def test_a_reader_follows_from_logs_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: None) -> None:
    monkeypatch.setenv("LAYERSCOPE_STORAGE", "logs")
    monkeypatch.setattr(mover, "SEGMENT_BYTES", 8_000)
    writer = write(tmp_path / "a.h5", 1, close=False)
    seen = 0
    with Run.open(tmp_path / "a") as run:
        for step in range(1, 500):
            append(writer, [step])
            run.refresh()
            steps = run["loss"].step
            np.testing.assert_array_equal(steps, np.arange(step + 1))
            assert len(steps) > seen
            seen = len(steps)
        np.testing.assert_array_equal(run["loss"].values, 1 / (1 + np.arange(500)))
        writer.close()
        run.refresh()
        check(run, 500)


def test_late_series_and_memory_stay_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: None) -> None:
    monkeypatch.setenv("LAYERSCOPE_STORAGE", "logs")
    monkeypatch.setattr(outage, "PENDING_BYTES", 30_000)
    writer = write(tmp_path / "a.h5", 400, close=False)
    writer.declare(Series("late", Kind.PER_ITEM, "", "Late.", ("x", "y"), axis="step"))
    most = 0
    for step in range(400, 1500):
        append(writer, [step])
        clock = {"step": step, "epoch": step // 10, "time": START + step}
        writer.append("step", **clock, values={"late": np.array([step, -step], "f4")})
        most = max(most, sum(block.nbytes for _, _, block in writer._mover.full))
    assert most <= 30_000 + 2 * 4096  # one block more than fits, with the heads of its frames
    assert len([name for name in os.listdir(tmp_path / "a.d") if log_of(name)]) < 100
    writer.close()
    with Run.open(tmp_path / "a") as run:
        check(run, 1500)
        np.testing.assert_array_equal(run.values("late")[:, 1], -np.arange(400, 1500))
        assert run.parts == 1


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from recorder.runfile import mover
from tests.runfile.runs import append, write
mover.SEGMENT_BYTES = 20_000
writer = write(Path({path!r}), 0, close=False)
for step in range({steps}):
    append(writer, [step])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("steps", [3, 400, 1111, 1950])
def test_repair_makes_one_file_of_what_a_kill_left(tmp_path: Path, steps: int) -> None:
    script = KILLED.format(root=str(ROOT), path=str(tmp_path / "a.h5"), steps=steps)
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "LAYERSCOPE_STORAGE": "logs"}, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with Run.open(tmp_path / "a") as run:
        assert run.state is State.KILLED
        check(run, steps)
    repair(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a.h5"]
    with Run.open(tmp_path / "a") as run:
        assert (run.state, run.parts) == (State.KILLED, 0)
        check(run, steps)


WRITING = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from recorder.runfile import mover
from tests.runfile.runs import append, write
mover.SEGMENT_BYTES = 20_000
writer = write(Path({path!r}), 0, close=False)
print("ready", flush=True)
step = 0
while not Path({path!r}).with_name("stop").exists():
    append(writer, [step])
    step += 1
writer.close()
print(step)
"""


@pytest.mark.parametrize("storage", ["hdf5", "logs"])
def test_a_copy_of_a_run_that_goes_on_is_consistent_and_says_what_it_is(tmp_path: Path, storage: str) -> None:
    script = WRITING.format(root=str(ROOT), path=str(tmp_path / "a.h5"))
    environment = {**os.environ, "LAYERSCOPE_STORAGE": storage}
    training = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert training.stdout is not None
        assert training.stdout.readline() == "ready\n"
        until(lambda: any(log_of(name) for name in os.listdir(tmp_path / "a.d")))
        before = -1
        for k in range(3):
            with Run.open(tmp_path / "a") as run:
                seen = len(run["loss"]) if "loss" in run else 0
            pack(tmp_path / "a", tmp_path / f"copy{k}.h5")
            with Run.open(tmp_path / f"copy{k}") as copy:
                rows = len(copy["loss"])
                np.testing.assert_array_equal(copy["loss"].values, 1 / (1 + np.arange(rows)))
                check(copy, rows) if len(copy["raw"].clock) == -(-rows // 10) else None
                assert rows >= max(seen, before)
                assert copy.state is State.KILLED
                assert copy.error == f"a copy, made at step {copy.last_step} while the run was still being recorded"
                before = rows
    finally:
        (tmp_path / "stop").touch()
        told, _ = training.communicate(timeout=60)
    with Run.open(tmp_path / "a") as run:
        check(run, int(told))
        assert (run.state, run.error) == (State.DONE, "")


def test_the_writer_says_what_kind_of_disk_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text("27 1 8:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.delenv("LAYERSCOPE_STORAGE", raising=False)
    writer = RunWriter(tmp_path / "a.h5", meta={})
    assert writer.storage.startswith("nfs4: rows stay in logs until a part of the run is finished")
    writer.close()
