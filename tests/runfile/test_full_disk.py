"""A disk that fails costs no training and no process: what waits is written later, what is lost is counted and told."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from recorder.runfile import mover, outage
from recorder.runfile.pack import repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import State
from recorder.runfile.volume import Volume
from recorder.runfile.writer import RunWriter
from tests.runfile.runs import append, at_rest, until, write
from tests.runfile.test_writer import check

ROOT = Path(__file__).parents[2]

# A process of its own, whose files cannot grow past a limit: to HDF5 as to the logs that is a full disk.
CHILD = """
import json, os, resource, signal, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from recorder.runfile import mover, outage
from tests.runfile.runs import append, write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
mover.HEARTBEAT = 0.02
path = Path({path!r})

def room(bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, resource.RLIM_INFINITY))

def wait(until):
    while not until():
        time.sleep(0.005)

{body}
"""


def child(path: Path, body: str, **settings: object) -> tuple[int, list[object]]:
    """Its exit status, and what it printed as JSON, line by line."""
    script = CHILD.format(root=str(ROOT), path=str(path), body=textwrap.dedent(body))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, **settings)  # type: ignore[call-overload]
    assert not done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("limit", [0, 20_000, 70_000])  # nothing more, the log but not HDF5, half of it
def test_rows_wait_in_memory_and_are_written_when_there_is_room(tmp_path: Path, limit: int) -> None:
    code, told = child(
        tmp_path / "a.h5",
        f"""
        writer = write(path, 100, close=False)
        wait(path.exists)
        room({limit})
        append(writer, range(100, 900))
        wait(lambda: writer.problem)
        print(json.dumps(writer.take_news()))
        append(writer, range(900, 1000))
        room(resource.RLIM_INFINITY)
        wait(lambda: not writer.problem)
        append(writer, range(1000, 1100))
        print(json.dumps([writer.close(), bool(writer.dropped), writer.take_news()]))
        """,
    )
    assert code == 0
    ((warning,), ended) = told  # type: ignore[misc]
    assert re.search(r"a\.(h5|d).*: File too large\. The training goes on: .* up to 32 MB \(about [\d,]+ rows", warning)
    assert ended == ["", False, []]
    with Run.open(tmp_path / "a") as run:
        check(run, 1100)
        assert run.state is State.DONE
        kinds = [event.kind for event in run.events]
        assert kinds == ["warning", "note"]
        assert "waited in memory and are written now" in run.events[1].text
    assert os.listdir(tmp_path) == ["a.h5"]


@pytest.mark.parametrize("limit", [0, 1, 12_345, 40_000])
def test_a_disk_that_stays_full_ends_well_and_says_what_is_lost(tmp_path: Path, limit: int) -> None:
    """HDF5 would crash the process as it ends."""
    code, told = child(
        tmp_path / "a.h5",
        f"""
        writer = write(path, 300, close=False)
        wait(lambda: path.exists() and not writer._mover.full)
        room({limit})
        append(writer, range(300, 700))
        said = writer.close()
        dropped = writer.dropped.axes
        print(json.dumps([said, {{name: [d.rows, d.first, d.last] for name, d in dropped.items()}}]))
        """,
    )
    assert code == 0
    said, dropped = told[0]  # type: ignore[misc]
    assert "The run could not be finished" in said
    assert f"layerscope repair {tmp_path / 'a.h5'}" in said
    lost = dropped.get("step", [0, 700, 699])
    assert lost[2] == 699
    assert (f"{lost[0]} rows of axis 'step' between steps {lost[1]} and 699" in said) == bool(lost[0])
    with Run.open(tmp_path / "a") as run:
        np.testing.assert_array_equal(run["loss"].step, np.arange(700 - lost[0]))
        np.testing.assert_array_equal(run["loss"].values, 1 / (1 + np.arange(700 - lost[0])))
        before = run.values("gradient_norm")
    repair(tmp_path / "a")
    with Run.open(tmp_path / "a") as run:
        np.testing.assert_array_equal(run.values("gradient_norm"), before)


def test_what_does_not_fit_in_memory_is_dropped_counted_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PENDING_BYTES", 20_000)
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)
    writer = write(tmp_path / "a.h5", 20, close=False)
    with monkeypatch.context() as patch:
        patch.setattr(Volume, "commit", full)
        patch.setattr(os, "pwrite", full)
        append(writer, range(20, 3000))
        held = sum(block.nbytes for _, _, block in writer._mover.full)
        held += sum(axis.block.nbytes for part in writer._parts for axis in part.axes.values() if axis.block)
        block = 1 << 12
        assert held <= 20_000 + block + 3 * block  # one more than fits, and one of each axis that is being filled
        assert writer.problem
    while writer.problem:
        append(writer, [3000])
    append(writer, range(3001, 3100))
    lost = writer.dropped.axes["step"]
    said = writer.close()
    with Run.open(tmp_path / "a") as run:
        steps = run["loss"].step
        kept = np.setdiff1d(np.arange(3100), np.arange(lost.first, lost.last + 1))
        assert np.setdiff1d(kept, steps).size == 0
        np.testing.assert_array_equal(run["loss"].values, 1 / (1 + steps))
        texts = [event.text for event in run.events if event.kind == "dropped"]
    assert f"{lost.rows} rows of axis 'step' between steps {lost.first} and {lost.last} were dropped: " in texts[0]
    assert str(lost.rows) in said
    assert lost.rows > 1000


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_bound_holds_where_logs_fail_and_hdf5_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PENDING_BYTES", 20_000)
    monkeypatch.setattr("recorder.runfile.mover.new_file", full)
    monkeypatch.setattr(os, "pwrite", full)
    writer = write(tmp_path / "a.h5", 2000, close=False)
    assert sum(block.nbytes for _, _, block in writer._mover.full) <= 20_000 + (1 << 12)
    said = writer.close()

    assert said.count("No space left") == 2  # the warning, and the end
    assert "2000 rows of axis 'step' between steps 0 and 1999" in said
    with Run.open(tmp_path / "a") as run:
        assert run.steps == 0


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)
    writer = write(tmp_path / "a.h5", 330, close=False)
    noted, note = [], writer._mover.note
    monkeypatch.setattr(writer._mover, "note", lambda kind, text: (noted.append(text), note(kind, text)))
    (tmp_path / "a.d").rename(tmp_path / "away")  # at once: emptied file by file, the writer puts new ones in between
    until(lambda: any("it was made again" in text for text in noted))
    append(writer, range(330, 350))
    (warning,) = writer.take_news()
    assert f"{tmp_path / 'a.d'}" in warning
    with Run.open(tmp_path / "a") as run:
        check(run, 350)
    append(writer, range(350, 900))
    writer.close()
    with Run.open(tmp_path / "a") as run:
        check(run, 900)
        assert run.state is State.DONE
        assert any("a.d was removed while the run was recorded; it was made again" in e.text for e in run.events)


def test_a_file_that_is_removed_costs_what_was_in_it_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)
    writer = write(tmp_path / "a.h5", 330, close=False)
    until(lambda: not writer._mover.full and (tmp_path / "a.h5").exists())
    with writer._mover._open.lock:
        os.rename(tmp_path / "a.h5", tmp_path / "elsewhere.h5")
    append(writer, range(330, 700))
    until(lambda: not writer._mover.full)
    with Run.open(tmp_path / "a") as run:
        steps = run["loss"].step
        assert 0 < steps[0] <= 330
        np.testing.assert_array_equal(steps, np.arange(steps[0], 700))
    said = writer.close()
    assert "a.h5 was removed or replaced while it was recorded; recording goes on in another part" in said
    with Run.open(tmp_path / "elsewhere.h5") as run:
        np.testing.assert_array_equal(run["loss"].step[: steps[0]], np.arange(steps[0]))
    with Run.open(tmp_path / "a") as run:
        np.testing.assert_array_equal(run["loss"].values, 1 / (1 + np.arange(steps[0], 700)))


def test_everything_that_vanishes_comes_back_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)
    runs = tmp_path / "runs"
    writer = write(runs / "a.h5", 330, close=False)
    until(lambda: not writer._mover.full)
    os.rename(runs, tmp_path / "away")
    append(writer, range(330, 600))
    until(lambda: writer.problem)
    os.rename(tmp_path / "away", runs)
    until(lambda: not writer.problem)
    append(writer, range(600, 700))
    (said,) = writer.close().splitlines()
    assert "No such file or directory. The training goes on" in said or "a.h5 was removed" in said  # what came first
    with Run.open(runs / "a") as run:
        check(run, 700)


def test_a_file_whose_other_name_stays_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder can turn read-only after the file was published, before the name that it had until then is gone."""
    unlink, kept = Path.unlink, []

    def keep_new(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("new-") and path.exists() and not kept:
            kept.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", keep_new)
    writer = write(tmp_path / "a.h5", 700, close=False)
    until(lambda: kept and not writer._mover.full)
    assert writer.close() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    with Run.open(tmp_path / "a") as run:
        check(run, 700)


def test_a_folder_that_turns_read_only(tmp_path: Path) -> None:
    """For root none is, so it becomes somebody else meanwhile."""
    code, told = child(
        tmp_path / "a.h5",
        """
        writer = write(path, 300, close=False)
        wait(path.exists)
        with writer._mover.changed:
            os.chmod(path.with_suffix(".d"), 0o500)
            if root := os.getuid() == 0:
                os.seteuid(65534)
        append(writer, range(300, 900))
        wait(lambda: writer.problem)
        print(json.dumps(writer.take_news()))
        if root:
            os.seteuid(0)
        os.chmod(path.with_suffix(".d"), 0o700)
        wait(lambda: not writer.problem)
        append(writer, range(900, 950))
        print(json.dumps([writer.close(), bool(writer.dropped)]))
        """,
    )
    assert code == 0
    assert len(told[0]) == 1  # type: ignore[arg-type]
    assert "Permission denied. The training goes on" in told[0][0]  # type: ignore[index]
    assert told[1] == ["", False]
    with Run.open(tmp_path / "a") as run:
        check(run, 950)


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT, errno.ESTALE])
def test_quota_and_broken_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Any write may fail, for a while, at any moment: of logs, of sidecars, of new files, of HDF5."""
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)
    rng = np.random.default_rng(code)

    def flaky(real: object) -> object:
        def call(*args: object, **kw: object) -> object:
            if rng.random() < 0.3:
                raise OSError(code, os.strerror(code))
            return real(*args, **kw)  # type: ignore[operator]

        return call

    writer = write(tmp_path / "a.h5", 0, close=False)
    with monkeypatch.context() as patch:
        for owner, name in ((os, "pwrite"), (os, "fsync"), (os, "replace"), (os, "link"), (Volume, "commit")):
            patch.setattr(owner, name, flaky(getattr(owner, name)))
        append(writer, range(1500))
    append(writer, range(1500, 1600))
    until(lambda: not writer.problem)
    said = writer.close()
    assert said.count("The training goes on") <= 1
    assert "could not be finished" not in said
    with Run.open(tmp_path / "a") as run:
        check(run, 1600)
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_run_that_another_process_finished_meanwhile_goes_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process was suspended for so long that another host repaired its run."""
    monkeypatch.setattr(mover, "HEARTBEAT", 0.01)
    writer = write(tmp_path / "a.h5", 400, close=False)
    beats: list[bool] = []
    with at_rest(writer):
        monkeypatch.setattr(writer._mover._lock, "beat", lambda: beats.append(True) or True)
        until(lambda: beats)  # from now on it waits for us
        (tmp_path / "a.d" / "lock").unlink()
        repair(tmp_path / "a")
        monkeypatch.undo()
    append(writer, range(400, 900))
    said = writer.close()
    assert "was removed" in said or "No such file" in said  # whichever thread finds it out first
    with Run.open(tmp_path / "a") as run:
        check(run, 900)


def test_no_room_at_the_door_is_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recorder.errors import RecordError

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RecordError, match=r"a\.d: cannot be written \(No space left on device\); choose another path"):
        RunWriter(tmp_path / "a.h5", meta={})
    assert os.listdir(tmp_path) == []
