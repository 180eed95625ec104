"""Every row that was appended is in the run, exactly; mistakes say what they are; nothing else ever raises."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder.errors import InstrumentError, RecordError, RunExistsError
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind, Series, State
from recorder.runfile.volume import Volume
from recorder.runfile.writer import RunWriter
from tests.runfile.runs import ALL, NORM, PER_EPOCH, SCALARS, START, append, histogram, norms, raw, until, write


def check(run: Run, steps: int) -> None:
    """The run holds the rows of `write` up to `steps`, to the last bit."""
    every, epochs = np.arange(steps), np.arange(0, steps, PER_EPOCH)
    np.testing.assert_array_equal(run.clock("gradient_norm").step, every)
    np.testing.assert_array_equal(run.clock("gradient_norm").epoch, every // PER_EPOCH)
    np.testing.assert_array_equal(run.clock("gradient_norm").time, START + every)
    np.testing.assert_array_equal(run.values("gradient_norm"), np.reshape([norms(s) for s in every], (-1, 3)))
    np.testing.assert_array_equal(run["loss"].values, 1 / (every + 1))
    np.testing.assert_array_equal(run.clock("weight_histogram").step, epochs)
    np.testing.assert_array_equal(
        run.values("weight_histogram"), np.reshape([histogram(s) for s in epochs], (-1, 3, 7))
    )
    for k, (item, shape) in enumerate(zip(ALL[3].items, ALL[3].ragged, strict=True)):
        np.testing.assert_array_equal(run.values("raw", item), np.reshape([raw(s)[k] for s in epochs], (-1, *shape)))


@pytest.mark.parametrize("steps", [0, 1, 2, 31, 32, 33, 300])
def test_what_was_appended_is_read_before_and_after_closing(tmp_path: Path, steps: int) -> None:
    writer = write(tmp_path / "a.h5", steps, close=False)
    if steps:
        with Run.open(tmp_path / "a.h5") as run:
            assert run.state is State.RECORDING
            check(run, steps)
    assert writer.close() == ""
    with Run.open(tmp_path / "a.h5") as run:
        assert run.state is State.DONE
        assert list(run.series) == [s.name for s in ALL]
        check(run, steps)
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_run_without_a_declaration_or_a_row_opens(tmp_path: Path) -> None:
    RunWriter(tmp_path / "a.h5", meta={"x": 1}).close(State.FAILED, error="KeyboardInterrupt")
    with Run.open(tmp_path / "a") as run:
        assert (run.state, run.error, run.last_step, run.epochs, dict(run.series)) == (
            State.FAILED, "KeyboardInterrupt", -1, 0, {},
        )  # fmt: skip
        assert run.meta == {"x": 1}


def test_closing_twice_and_using_it_after_is_harmless(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5)
    assert writer.close(State.FAILED) == ""
    append(writer, [99])
    writer.event(Event("note", "late", 99, 0, 0.0))
    with Run.open(tmp_path / "a") as run:
        assert (run.state, run.last_step, list(run.events)) == (State.DONE, 4, [])


def test_the_settings_of_the_user_come_back(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 1, lr=np.float32(0.5), data=Path("data"), layers=(1, 2), tags={"b", "a"}, name="\x1b[31mü")
    with Run.open(tmp_path / "a") as run:
        assert run.meta == {
            "framework": "none", "lr": 0.5, "data": "data", "layers": [1, 2], "tags": ["a", "b"], "name": "[31mü",
        }  # fmt: skip


def test_an_error_text_of_any_length_fits(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 1, close=False)
    writer.close(State.FAILED, error="ü" * 100_000)
    with Run.open(tmp_path / "a") as run:
        assert run.error.startswith("üüü")
        assert run.state is State.FAILED


def test_events_keep_their_order_and_whole_characters(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.event(Event("phase", "warm-up", 0, 0, START))  # before anything is declared
    writer.declare(*ALL)
    append(writer, range(3))
    writer.event(Event("note", "ü" * 800, 2, 0, START + 1))
    for found in (Run.open(tmp_path / "a"), (writer.close(), Run.open(tmp_path / "a"))[1]):
        with found as run:
            assert [e.kind for e in run.events] == ["phase", "note"]
            assert run.events[0] == Event("phase", "warm-up", 0, 0, START)
            assert run.events[1].text == "ü" * 500  # 1000 bytes


def test_more_events_than_a_block_holds_before_the_first_row(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "a.h5", meta={}, block_bytes=1 << 12)
    for k in range(50):
        writer.event(Event("note", str(k), k, 0, START + k))
    writer.close()
    with Run.open(tmp_path / "a") as run:
        assert [e.text for e in run.events] == [str(k) for k in range(50)]


def test_late_names_get_a_part_and_the_run_stays_one(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 20, close=False)
    writer.declare(Series("scalars", Kind.SCALAR, "", "Scalars.", ("accuracy",), dtype="float64", axis="each_epoch"))
    writer.declare(Series("scalars", Kind.SCALAR, "", "Scalars.", ("late",), dtype="float64", axis="step"))
    append(writer, range(20, 25))
    for step in range(25, 40):
        clock = {"step": step, "epoch": 0, "time": START + step}
        writer.append(
            "step", **clock, values={"scalars": {"loss": 1 / (step + 1), "late": step}, "gradient_norm": norms(step)}
        )
    writer.append("each_epoch", step=40, epoch=4, time=START + 40, values={"scalars": {"accuracy": 0.5}})
    for found in (Run.open(tmp_path / "a"), (writer.close(), Run.open(tmp_path / "a"))[1]):
        with found as run:
            assert run.series["scalars"].items == ("loss", "rate", "accuracy", "late")
            np.testing.assert_array_equal(run["loss"].step, np.arange(40))
            np.testing.assert_array_equal(run["late"].step, np.arange(25, 40))
            np.testing.assert_array_equal(run["late"].values, np.arange(25, 40))
            np.testing.assert_array_equal(run["accuracy"].step, [40])
            assert run.steps == 40
            assert run.row("scalars")[1][2:].tolist() == [0.5, 39.0]
            together = run.values("scalars")
            assert together.shape == (41, 4)
            assert np.isnan(together[40, 0])
    assert os.listdir(tmp_path) == ["a.h5"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gradient_norm": np.zeros(2)}, r"series 'gradient_norm' at step 5: expected shape \(3,\), got \(2,\)"),
        ({"gradient_norm": {"fc9": 1.0}}, "series 'gradient_norm' at step 5: has no item 'fc9'"),
        ({"gradient_norm": {"fc1.bias": [1.0, 2.0]}}, r"item 'fc1.bias' at step 5: expected shape \(\), got \(2,\)"),
        ({"scalars": {"loss": "much"}}, "at step 5"),
        ({"weight_histogram": histogram(0)}, "'weight_histogram' at step 5: was not declared on axis 'step'"),
    ],
)
def test_what_was_not_declared_is_refused_and_nothing_of_it_is_kept(tmp_path: Path, values: Any, said: str) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with pytest.raises(InstrumentError, match=said):
        writer.append("step", step=5, epoch=0, time=START, values=values)
    append(writer, range(5, 8))
    writer.close()
    with Run.open(tmp_path / "a") as run:
        check(run, 8)


def test_ragged_rows_are_checked_too(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with pytest.raises(InstrumentError, match=r"series 'raw' at step 5: expected 3 arrays, got 1"):
        writer.append("each_epoch", step=5, epoch=0, time=0, values={"raw": [np.zeros((2, 3))]})
    with pytest.raises(InstrumentError, match=r"item 'values' at step 5: expected shape \(4,\), got \(5,\)"):
        writer.append("each_epoch", step=5, epoch=0, time=0, values={"raw": {"values": np.zeros(5)}})
    writer.append("each_epoch", step=5, epoch=0, time=0, values={"raw": {"values": np.ones(4)}})
    writer.close()
    with Run.open(tmp_path / "a") as run:
        assert run.row("raw", item="values")[1].tolist() == [1] * 4
        assert np.isnan(run.row("raw", item="w")[1]).all()


def test_steps_do_not_go_back(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with pytest.raises(InstrumentError, match="axis 'step' at step 3: steps go back; the last row was of step 4"):
        append(writer, [3])
    writer.close()


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (Series("axes", Kind.PER_ITEM, "", "", ("a",), axis="step"), "names must be"),
        (Series("a/b", Kind.PER_ITEM, "", "", ("a",), axis="step"), "names must be"),
        (Series("norm", Kind.PER_ITEM, "", "", ("a",), axis=""), "names must be"),
        (Series("norm", Kind.PER_ITEM, "", "", ("a", "a"), axis="step"), "not all different"),
        (Series("gradient_norm", Kind.PER_ITEM, "", "", ("a",), (7,), axis="step"), "was declared before as another"),
    ],
)
def test_bad_declarations_are_refused_at_the_door(tmp_path: Path, series: Series, said: str) -> None:
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.declare(NORM)
    with pytest.raises(RecordError, match=said):
        writer.declare(series)
    writer.close()


def test_an_item_stays_on_its_axis(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with pytest.raises(RecordError, match="'loss' is already recorded on axis 'step', not 'each_epoch'"):
        writer.declare(Series("scalars", Kind.SCALAR, "", "", ("loss",), dtype="float64", axis="each_epoch"))
    writer.close()


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 5, close=False)
    with pytest.raises(RunExistsError, match="a run is being recorded by process"):
        RunWriter(tmp_path / "a.h5", meta={})
    writer.close()
    before = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(RunExistsError, match="a run is already there"):
        RunWriter(tmp_path / "a.h5", meta={})
    assert (tmp_path / "a.h5").read_bytes() == before
    (tmp_path / "b.d").mkdir()
    with pytest.raises(RunExistsError, match=r"cut short.*layerscope repair"):
        RunWriter(tmp_path / "b.h5", meta={})


def test_two_runs_at_once(tmp_path: Path) -> None:
    first, second = (RunWriter(tmp_path / f"{n}.h5", meta={}, block_bytes=1 << 10) for n in "ab")
    for writer in (first, second):
        writer.declare(*ALL)
    for step in range(100):
        append(first, [step])
        append(second, [step])
    for writer, name in ((first, "a"), (second, "b")):
        writer.close()
        with Run.open(tmp_path / name) as run:
            check(run, 100)


def test_extending_a_finished_run_hides_what_is_recorded_again(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 30)
    writer = RunWriter(tmp_path / "a.h5", meta={"resumed": True}, extend=True)
    writer.declare(SCALARS)
    for step in range(20, 50):
        writer.append(
            "step", step=step, epoch=2, time=START + 100 + step, values={"scalars": {"loss": -step, "rate": 0}}
        )
    for found in (Run.open(tmp_path / "a"), (writer.close(), Run.open(tmp_path / "a"))[1]):
        with found as run:
            np.testing.assert_array_equal(run["loss"].step, np.arange(50))
            np.testing.assert_array_equal(run["loss"].values[:20], 1 / np.arange(1, 21))
            np.testing.assert_array_equal(run["loss"].values[20:], -np.arange(20, 50))
            np.testing.assert_array_equal(run.clock("gradient_norm").step, np.arange(30))
            assert run.row("scalars", 25)[1][0] == -25
            assert run.meta["framework"] == "none"


@pytest.mark.parametrize("where", ["log", "hdf5"])
def test_a_full_disk_never_reaches_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def fails(*_: object) -> None:
        raise full

    writer = write(tmp_path / "a.h5", 10, close=False)
    with monkeypatch.context() as patch:
        patch.setattr(*((os, "pwrite") if where == "log" else (Volume, "commit")), fails)
        append(writer, range(10, 200))
        if where == "hdf5":
            until(lambda: writer.problem)
            with Run.open(tmp_path / "a") as run:  # the logs have all of it
                check(run, 200)
    append(writer, range(200, 250))
    said = writer.close()
    assert said.count("No space left on device. The training goes on") == 1
    assert not writer.dropped
    with Run.open(tmp_path / "a") as run:
        check(run, 250)


def test_a_disk_that_stays_full_leaves_logs_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = write(tmp_path / "a.h5", 10, close=False)
    monkeypatch.setattr(Volume, "commit", fails)
    append(writer, range(10, 100))
    assert "No space left" in writer.close(State.FAILED, error="disk full")
    with Run.open(tmp_path / "a") as run:
        assert (run.state, run.error) == (State.FAILED, "disk full")
        check(run, 100)


FORK = """
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.runfile.runs import append, write
writer = write(Path({path!r}), 50, close=False)
if os.fork() == 0:
    append(writer, range(50, 60))
    writer.close()
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    sys.exit(0)          # the interpreter shuts down, HDF5's own exit handlers run
os.wait()
for step in range(50, 120):  # the writer thread is at work while we fork
    append(writer, [step])
    if step % 4 == 0:
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
writer.close()
"""


def test_a_forked_child_leaves_the_run_alone(tmp_path: Path) -> None:
    script = textwrap.dedent(FORK).format(root=str(Path(__file__).parents[2]), path=str(tmp_path / "a.h5"))
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    with Run.open(tmp_path / "a") as run:
        check(run, 120)
