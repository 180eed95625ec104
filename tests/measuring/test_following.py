"""Is a run that is being measured seen to grow, and does it survive what ends the process?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recorder import measure, open_run
from recorder.runfile.reader import Run
from recorder.runfile.schema import State
from tests.measuring.subjects import Net, same, train

ROOT = Path(__file__).parents[2]
GATE = '''
import time
from pathlib import Path
from tests.measuring.subjects import Net

def gated():
    """A model that looks at each checkpoint when there is a file that lets it."""
    net, looked = Net(), [0]
    def wait(*_):
        looked[0] += 1
        Path(f"looks-{looked[0]}").touch()
        while not Path(f"let-{looked[0]}").exists():
            time.sleep(0.005)
    net.register_forward_pre_hook(wait)
    return net
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("trained") / "mlp.h5")


class Measuring:
    """`layerscope measure` in a process of its own, let on from one checkpoint to the next."""

    def __init__(self, folder: Path, trained: Path) -> None:
        self.folder, self.run = folder, folder / "mlp.h5"
        shutil.copy(trained, self.run)
        shutil.copytree(trained.with_suffix(".d"), folder / "mlp.d")
        (folder / "gate.py").write_text(GATE)
        code = "from tui.cli import main; import sys; sys.exit(main())"
        command = [sys.executable, "-c", code, "measure", "mlp.h5", "activation_histogram", "--model", "gate:gated"]
        path = os.pathsep.join([str(folder), str(ROOT)])
        self.process = subprocess.Popen(
            command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip

    def let(self, *looks: int) -> None:
        """The first look is for the layers, the others are at the checkpoints."""
        for look in looks:
            (self.folder / f"let-{look}").touch()

    def waits_at(self, look: int) -> None:
        self.until(lambda: (self.folder / f"looks-{look}").exists())

    def until(self, holds) -> None:
        end = time.monotonic() + 120
        while not holds():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


@pytest.fixture
def measuring(tmp_path: Path, trained: Path):
    one = Measuring(tmp_path, trained)
    yield one
    if one.process.poll() is None:
        os.killpg(one.process.pid, signal.SIGKILL)
    one.process.communicate()


def steps(run: Run) -> list[int]:
    return run.clock("activation_histogram").step.tolist() if "activation_histogram" in run.series else []


def test_rows_are_there_as_they_are_measured_and_ctrl_c_leaves_the_rest_for_later(measuring: Measuring) -> None:
    with Run.open(measuring.run, trusted=True) as run:
        measuring.let(1, 2, 3)
        measuring.waits_at(4)  # two checkpoints are measured
        run.refresh()
        assert steps(run) == [5, 10]
        assert run.state is State.DONE  # the training, whoever measures it
        for process in (measuring.process.pid,):
            os.killpg(process, signal.SIGINT)  # as a terminal does: to the command and to its child
        measuring.let(4)
        status, out, err = measuring.ended()
        assert (status, err) == (130, "")
        assert re.search(r"mlp.h5: activation_histogram at 2 checkpoints, steps 5 to 10\ninterrupted; the same", out)
        run.refresh()
        assert steps(run) == [5, 10]
        assert run.state is State.DONE
    assert sorted(p.name for p in (measuring.folder / "mlp.d").iterdir()) == ["checkpoints"]
    found = measure(measuring.run, "activation_histogram", model=Net)["activation_histogram"]
    assert found.step.tolist() == [5, 10, 15, 20]


def test_a_sigkill_loses_no_row_and_the_rest_is_measured_later(measuring: Measuring, trained: Path) -> None:
    measuring.let(1, 2, 3)
    measuring.waits_at(4)
    os.killpg(measuring.process.pid, signal.SIGKILL)
    assert measuring.ended()[0] == -signal.SIGKILL
    with Run.open(measuring.run, trusted=True) as run:
        assert steps(run) == [5, 10]
        assert run.state is State.DONE
        early = run.values("activation_histogram")
    found = measure(measuring.run, "activation_histogram", model=Net)["activation_histogram"]
    assert found.step.tolist() == [5, 10, 15, 20]
    assert same(found.values[:2], early)
    with open_run(measuring.run) as run:
        assert run.state is State.DONE
        assert run.steps == 20
    other = measuring.folder / "whole.h5"
    shutil.copy(trained, other)
    shutil.copytree(trained.with_suffix(".d"), other.with_suffix(".d"))
    assert same(measure(other, "activation_histogram", model=Net)["activation_histogram"].values, found.values)


def test_who_reads_only_the_first_lines_of_a_list_gets_no_traceback(trained: Path) -> None:
    command = [sys.executable, "-m", "recorder", "measure", str(trained), "--list"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 141
