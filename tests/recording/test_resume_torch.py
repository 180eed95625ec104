"""A real training that is killed and queued again, from the user's own checkpoint: one run, as if nothing had been."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder import open_run
from recorder.runfile.pack import repair
from recorder.runfile.schema import State
from tests.recording.requeued import PER_EPOCH, SAVED_EVERY, STEPS, train

PROCESSES = multiprocessing.get_context("forkserver")  # each training begins in a process where torch is loaded
AHEAD = 8  # steps that a training may do while it waits to be killed
SAME = ("gradient_norm", "weight_norm", "activation_zero_count", "update_ratio")


@pytest.fixture(scope="module", autouse=True)
def _preloaded() -> None:
    PROCESSES.set_forkserver_preload(["tests.recording.requeued"])


def start(path: Path, told: Connection | None = None, on_sigterm: str = "") -> Any:
    process = PROCESSES.Process(target=train, args=(path, path.with_suffix(".pth"), told, on_sigterm))
    process.start()
    if told is not None:
        told.close()
    return process


def let(child: Connection, step: int = STEPS) -> None:
    """Let the training go on until it has done this step, or has ended."""
    with suppress(EOFError, OSError):
        while child.recv() < step:
            child.send(None)


def killed(path: Path, step: int, chance: random.Random) -> None:
    here, there = PROCESSES.Pipe()
    process = start(path, there)
    let(here, step)
    for _ in range(AHEAD):
        here.send(None)
    time.sleep(chance.random() * 0.02)
    process.kill()
    process.join()


def finished(path: Path) -> None:
    process = start(path)
    process.join()
    assert process.exitcode == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training that nobody disturbed."""
    path = tmp_path_factory.mktemp("whole") / "a.h5"
    finished(path)
    return path


def check_same(path: Path, whole: Path) -> None:
    with open_run(path) as run, open_run(whole) as other:
        np.testing.assert_array_equal(run["loss"].step, np.arange(STEPS))
        np.testing.assert_array_equal(run["loss"].values, other["loss"].values)
        assert run.axes == other.axes
        assert (run.steps, run.epochs) == (other.steps, other.epochs) == (STEPS, STEPS // PER_EPOCH)
        for name in SAME:
            np.testing.assert_array_equal(run[name].step, other[name].step)
            ours, theirs = run[name].values, other[name].values
            if name == "update_ratio":  # a pair that a kill came between
                ours, theirs = ours[np.isfinite(ours[:, 0])], theirs[np.isfinite(ours[:, 0])]
                assert len(ours) > 3
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(run["accuracy"].step, other["accuracy"].step)
        np.testing.assert_array_equal(run["accuracy"].epoch, other["accuracy"].epoch)
        np.testing.assert_array_equal(run["accuracy"].values, other["accuracy"].values)
        np.testing.assert_array_equal(run["loss"].epoch, other["loss"].epoch)


def test_killed_three_times_and_queued_again(tmp_path: Path, whole: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance, path = random.Random(seed), tmp_path / "a.h5"
    kills = [step + chance.randrange(16) for step in (8, 34, 60)]  # each behind what the one before may have done
    recorded = []
    for step in kills:
        killed(path, step, chance)
        with open_run(path) as run:
            assert run.state is State.KILLED
            assert run.steps >= step
            np.testing.assert_array_equal(run["loss"].step, np.arange(run.steps))
            recorded.append(run.steps)
    finished(path)
    for look in range(2):
        check_same(path, whole)
        with open_run(path) as run:
            assert run.state is State.DONE
            firsts = [p.meta["config"]["began_at"] for p in run.processes]
            assert [p.first for p in run.processes] == firsts
            assert all(a % SAVED_EVERY == 0 and a <= b for a, b in zip(firsts[1:], recorded, strict=True))
            assert [p.stop for p in run.processes] == [*recorded, STEPS]
            assert [p.state for p in run.processes] == [*3 * [State.KILLED], State.DONE]
            rows = sum(v.count("step") for v in run.volumes if "step" in v.axes)
            assert rows == sum(p.stop - p.first for p in run.processes)  # also the hidden ones are there
            assert rows - STEPS == sum(p.hidden for p in run.processes)
            assert {e.kind for e in run.events} == {"resumed"}
        if not look:
            repair(path)


@pytest.mark.parametrize(("handler", "state"), [("flag", State.DONE), ("raise", State.FAILED)])
def test_preempted_by_sigterm(tmp_path: Path, whole: Path, handler: str, state: State) -> None:
    """With a handler the block is left in order: the last step is recorded, and the run says how it ended."""
    path = tmp_path / "a.h5"
    here, there = PROCESSES.Pipe()
    process = start(path, there, handler)
    let(here, 25)
    process.terminate()
    here.send(None)
    let(here)
    process.join()
    with open_run(path) as run:
        assert run.state is state
        assert run.error == ("SystemExit: 143" if state is State.FAILED else "")
        stopped = run.steps
    finished(path)
    check_same(path, whole)
    with open_run(path) as run:
        assert [p.state for p in run.processes] == [state, State.DONE]
        assert run.processes[0].stop == stopped
        assert run.processes[0].hidden == (0 if handler == "flag" else stopped % SAVED_EVERY)
