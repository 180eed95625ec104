"""A SIGKILL at any moment loses no acknowledged row; a reader beside a writer never sees less than before."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchmarks.crash import OTHER, Server, kill_once
from recorder.runfile.reader import Run
from recorder.runfile.schema import State
from tests.runfile.runs import norms
from tests.runfile.test_writer import check


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    """One forks what is killed, the other reads; with another h5py, where the Makefile has prepared it."""
    other = Path(os.environ.get("H5PY_OTHER", OTHER))
    started = Server(), Server(other if other.is_dir() else None)
    with started[0], started[1]:
        yield started


@pytest.mark.parametrize("seed", range(20))
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, servers: tuple[Server, Server], seed: int) -> None:
    outcome = kill_once(tmp_path, seed, *servers)
    assert not outcome.problems, outcome
    assert outcome.found["acknowledged"] <= outcome.found["numbers"]


WRITER = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.runfile.runs import append, write
writer = write(Path({path!r}), 0, block_bytes=1 << 10, close=False)
print("ready", flush=True)
step = 0
while not Path({path!r}).with_name("stop").exists():
    append(writer, range(step, step := step + 50))
    time.sleep(0.02)  # a block takes longer to move than to fill
writer.close()
print(step)
"""


def test_a_reader_beside_a_writer_never_goes_back(tmp_path: Path) -> None:
    script = WRITER.format(root=str(Path(__file__).parents[2]), path=str(tmp_path / "a.h5"))
    looks, before = 0, {"gradient_norm": 0, "weight_histogram": 0}
    with (
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child,
        ExitStack() as at_the_end,
    ):
        at_the_end.callback((tmp_path / "stop").touch)
        assert child.stdout is not None
        child.stdout.readline()
        with Run.open(tmp_path / "a") as run:
            while run.state is State.RECORDING:
                run.refresh()
                looks += 1
                for name, rows in before.items() if run.series else ():
                    found = run.clock(name).step
                    assert len(found) >= rows
                    scale = 1 if name == "gradient_norm" else 10
                    np.testing.assert_array_equal(found, np.arange(len(found)) * scale)
                    before[name] = len(found)
                last = before["gradient_norm"]
                if last:
                    values = run.volumes[0].read("gradient_norm", max(0, last - 700), last)
                    expected = [norms(step) for step in range(max(0, last - 700), last)]
                    np.testing.assert_array_equal(values, np.reshape(expected, (-1, 3)))
                if last > 2_500 and looks > 20:
                    (tmp_path / "stop").touch()
            steps = int(child.stdout.read())
            assert child.wait(60) == 0
            run.refresh()
            assert run.state is State.DONE
            check(run, steps)
