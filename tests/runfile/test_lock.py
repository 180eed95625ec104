"""Whether a run is being recorded: told right whatever the clocks say, and a dead lock has one heir."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from recorder.errors import RunExistsError, RunFileError
from recorder.runfile import lock
from recorder.runfile.lock import HEARTBEAT, SILENCE, Holder, Lock, alive, holder, silent, take
from recorder.runfile.pack import repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import State
from recorder.runfile.writer import RunWriter
from tests.runfile.runs import START, at_rest, write

ROOT = Path(__file__).parents[2]
ELSEWHERE = replace(Holder.me(), host="node7", boot="another machine", pid=1)
MINUTES = 600.0


class Clocks:
    """Time as this process sees it; nobody waits for it to pass."""

    def __init__(self) -> None:
        self.wall, self.own = 1.8e9, 100.0
        self.heard = lambda: None

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.own

    def sleep(self, seconds: float) -> None:
        self.pass_(seconds)
        self.heard()

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.own += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(lock, "time", clocks)
    monkeypatch.setattr(lock, "_heard", {})
    return clocks


def beat(folder: Path, *, server: float, recorder: float, who: Holder = ELSEWHERE) -> None:
    """A beat of another machine, dated by the clock of the file server and by its own."""
    (folder / "lock").write_text(json.dumps(asdict(who) | {"beat": recorder}))
    os.utime(folder / "lock", (server, server))


@pytest.mark.parametrize("server", [-MINUTES, 0, MINUTES])
@pytest.mark.parametrize("recorder", [-MINUTES, 0, MINUTES])
def test_clocks_that_differ_mislead_for_some_seconds_at_most(
    tmp_path: Path, clocks: Clocks, server: float, recorder: float
) -> None:
    beat(tmp_path, server=clocks.wall + server, recorder=clocks.wall + recorder)
    first = alive(tmp_path)
    assert first or max(server, recorder) < 0  # one clock that agrees is enough
    for _ in range(20):  # it lives
        clocks.pass_(HEARTBEAT)
        beat(tmp_path, server=clocks.wall + server, recorder=clocks.wall + recorder)
        assert alive(tmp_path)
    clocks.pass_(SILENCE - 1)
    assert alive(tmp_path)
    clocks.pass_(2)  # it died
    assert not alive(tmp_path)
    clocks.pass_(HEARTBEAT)
    beat(tmp_path, server=clocks.wall + server, recorder=clocks.wall + recorder)
    assert alive(tmp_path)  # it had only been held up


def test_who_looks_for_the_first_time_goes_by_the_age_of_the_last_beat(tmp_path: Path, clocks: Clocks) -> None:
    beat(tmp_path, server=clocks.wall - SILENCE - 1, recorder=clocks.wall - SILENCE - 1)
    assert not alive(tmp_path)
    assert silent(tmp_path)


def test_who_would_take_it_over_listens_first(tmp_path: Path, clocks: Clocks) -> None:
    beat(tmp_path, server=clocks.wall - MINUTES, recorder=clocks.wall - MINUTES)
    clocks.heard = lambda: beat(tmp_path, server=clocks.wall - MINUTES, recorder=clocks.wall - MINUTES)
    assert not silent(tmp_path)
    with pytest.raises(FileExistsError):
        take(tmp_path)
    assert holder(tmp_path) == ELSEWHERE
    clocks.heard = lambda: None
    began = clocks.own
    assert silent(tmp_path)
    assert clocks.own - began > SILENCE
    take(tmp_path).release()
    assert os.listdir(tmp_path) == []


def test_on_the_same_machine_the_process_counts_and_not_its_heart(tmp_path: Path, clocks: Clocks) -> None:
    clocks.wall += 1e6  # it was busy for days: compiled, suspended, in a debugger
    for who, lives in (
        (Holder.me(), True),
        (replace(Holder.me(), pid=4194304), False),
        (replace(Holder.me(), born=Holder.me().born - 1), False),  # its number was given to another process
    ):
        beat(tmp_path, server=START, recorder=START, who=who)
        assert alive(tmp_path) is lives
        assert silent(tmp_path) is not lives


def test_a_process_that_is_dead_but_not_buried_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        beat(tmp_path, server=time.time(), recorder=time.time(), who=replace(Holder.me(), pid=child.pid, born=0))
        assert alive(tmp_path)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not alive(tmp_path)
    finally:
        child.kill()
        child.wait()


def test_machines_of_one_name_are_told_apart(tmp_path: Path) -> None:
    beat(tmp_path, server=time.time(), recorder=time.time(), who=replace(ELSEWHERE, host=Holder.me().host, pid=4194304))
    assert alive(tmp_path)


def test_locks_of_older_versions_and_damaged_ones_are_judged_too(tmp_path: Path) -> None:
    me = Holder.me()
    for pid, lives in ((me.pid, True), (4194304, False)):
        (tmp_path / "lock").write_text(json.dumps({"host": me.host, "pid": pid, "namespace": me.namespace}))
        assert alive(tmp_path) is lives
    for text in ("", "{", "[1]", '{"host": 1, "pid": "x", "namespace": 3}'):
        (tmp_path / "lock").write_text(text)
        assert alive(tmp_path)
    os.utime(tmp_path / "lock", (START, START))
    assert silent(tmp_path)


def test_a_reader_elsewhere_sees_a_run_die(tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Lock.beat
    monkeypatch.setattr(Lock, "beat", lambda self: True)  # the test is its heart
    writer = write(tmp_path / "a.h5", 5, close=False)
    writer._mover._lock._me = ELSEWHERE  # what a reader on another machine finds
    original(writer._mover._lock)
    beat(tmp_path / "a.d", server=clocks.wall, recorder=clocks.wall)
    with Run.open(tmp_path / "a") as run:
        assert run.state is State.RECORDING
        beat(tmp_path / "a.d", server=clocks.wall + 1, recorder=clocks.wall + 1)
        assert run.state is State.RECORDING
        clocks.pass_(2 * SILENCE)
        assert run.state is State.KILLED
        assert run.ended == START + 4
    writer.close()


def test_the_copy_of_a_live_run_is_recorded_by_nobody(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with at_rest(writer):
        shutil.copytree(tmp_path / "a.d", tmp_path / "b.d")
    os.utime(tmp_path / "b.d" / "lock", (START, START))
    assert not alive(tmp_path / "b.d")
    assert silent(tmp_path / "b.d")
    assert alive(tmp_path / "a.d")
    writer.close()


def test_beats_are_dated_and_lost_locks_noticed(tmp_path: Path) -> None:
    mine = Lock(tmp_path)
    os.utime(tmp_path / "lock", (START, START))
    assert mine.beat()
    assert (tmp_path / "lock").stat().st_mtime > START
    assert holder(tmp_path) == Holder.me()
    (tmp_path / "lock").write_text(json.dumps(asdict(ELSEWHERE)))
    assert not mine.beat()
    mine.release()
    assert holder(tmp_path) == ELSEWHERE  # not ours to remove
    (tmp_path / "lock").unlink()
    assert not mine.beat()


HEIR = """
import sys
from pathlib import Path
from recorder.runfile.lock import take
print("ready", flush=True)
sys.stdin.readline()
try:
    take(Path(sys.argv[1]))
    print("took it", flush=True)
except FileExistsError:
    print("too late", flush=True)
sys.stdin.readline()  # until all have tried
"""


def test_of_many_who_take_over_a_dead_lock_one_does(tmp_path: Path) -> None:
    beat(tmp_path, server=START, recorder=START)
    command = [sys.executable, "-c", HEIR, str(tmp_path)]
    heirs = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    try:
        assert [heir.stdout.readline() for heir in heirs if heir.stdout] == ["ready\n"] * 6
        for heir in heirs:
            assert heir.stdin
            heir.stdin.write("go\n")
            heir.stdin.flush()
        assert sorted(heir.stdout.readline() for heir in heirs if heir.stdout) == ["too late\n"] * 5 + ["took it\n"]
    finally:
        for heir in heirs:
            heir.communicate()


def test_two_repairs_and_a_repair_beside_a_recording_do_not_meet(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with pytest.raises(RunFileError, match="is being recorded by process"):
        repair(tmp_path / "a")
    with pytest.raises(RunExistsError, match="is being recorded by process"):
        RunWriter(tmp_path / "a", meta={})
    with pytest.raises(RunExistsError, match="is being recorded by process"):
        RunWriter(tmp_path / "a", meta={}, extend=True)
    writer.close()


def test_who_dies_while_taking_over_stands_in_nobodys_way(tmp_path: Path) -> None:
    dead = json.dumps(asdict(replace(Holder.me(), born=1))).encode()
    (tmp_path / "lock").write_bytes(dead)
    (tmp_path / "lock-claim").write_bytes(dead)
    take(tmp_path).release()
    assert not list(tmp_path.iterdir())
    (tmp_path / "lock-claim").write_bytes(json.dumps(asdict(Holder.me())).encode())
    with pytest.raises(FileExistsError):  # that one lives
        take(tmp_path)
