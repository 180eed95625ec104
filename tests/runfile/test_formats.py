"""A file written by a released format stays readable; the files are kept in tests/fixtures.

They were made when the format was current, by `python -m tests.runfile.test_formats`; a later format adds its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from recorder.runfile.layout import run_paths
from recorder.runfile.pack import repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import FORMAT, State
from tests.runfile.corpus import killed
from tests.runfile.runs import histogram, norms, write

FIXTURES = Path(__file__).parents[1] / "fixtures"
ENDED, ROWS = "format-{}.h5", 300
DIED, LAST = "format-{}-killed.h5", 509


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_run_of_every_format_is_read(number: int) -> None:
    with Run.open(FIXTURES / ENDED.format(number)) as run:
        assert (run.state, run.steps, run.meta["framework"]) == (State.DONE, ROWS, "none")
        np.testing.assert_array_equal(run.values("gradient_norm"), [norms(k) for k in range(ROWS)])
        np.testing.assert_array_equal(run.values("weight_histogram"), [histogram(k) for k in range(0, ROWS, 10)])
        np.testing.assert_array_equal(run["loss"].values, 1 / (np.arange(ROWS) + 1))
        assert run.row("raw", 50, "w")[1][0, 0] == 50.5


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_run_that_died_in_every_format_is_read_and_repaired(tmp_path: Path, number: int) -> None:
    path = tmp_path / "run.h5"
    shutil.copy(FIXTURES / DIED.format(number), path)
    shutil.copytree(run_paths(FIXTURES / DIED.format(number))[1], path.with_suffix(".d"))
    for _ in range(2):
        with Run.open(path) as run:
            assert (run.state, run.last_step) == (State.KILLED, LAST)
            steps = [*range(300), *range(480, 510)]
            np.testing.assert_array_equal(run.clock("gradient_norm").step, steps)
            np.testing.assert_array_equal(run.values("gradient_norm"), [norms(k) for k in steps])
            np.testing.assert_array_equal(run["late"].item("x").values, np.arange(300, 480))
        repair(path)


def make() -> None:
    """The files of the current format."""
    write(FIXTURES / ENDED.format(FORMAT), ROWS)
    died = killed(FIXTURES / "making")
    (died.with_suffix(".d") / "lock").unlink()  # it names this machine
    died.rename(FIXTURES / DIED.format(FORMAT))
    died.with_suffix(".d").rename(run_paths(FIXTURES / DIED.format(FORMAT))[1])
    died.parent.rmdir()


if __name__ == "__main__":
    make()
