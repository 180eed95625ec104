"""Do rows that were measured after the training join those of the training, in the order of steps?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.runfile.pack import pack, repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import Kind, Series, State
from recorder.runfile.writer import RunWriter
from recorder.view import Window

STEPS = st.lists(st.integers(0, 40), max_size=12, unique=True).map(sorted)


def series(axis: str, items: tuple[str, ...] = ("a", "b")) -> Series:
    return Series("s", Kind.PER_ITEM, "1", "A number.", items, axis=axis, item_dim="layer", between=True)


def write(
    path: Path, axis: str, steps: list[int], *, sign: int = 1, items: tuple[str, ...] = ("a", "b"), **how: object
) -> RunWriter:
    """Rows whose value is their step, times the sign."""
    writer = RunWriter(path, meta={}, **how)
    writer.declare(series(axis, items))
    for step in steps:
        values = {"s": np.full(len(items), sign * step, "f4")}
        writer.append(axis, step=step, epoch=step // 10, time=1000.0 + step, values=values)
    return writer


def measured(path: Path, steps: list[int], *, sign: int = -1, items: tuple[str, ...] = ("a", "b")) -> None:
    write(path, "measured", steps, sign=sign, items=items, extend=True, measured=True).close()


@settings(max_examples=12, deadline=None)
@given(trained=STEPS.filter(bool), sessions=st.lists(STEPS.filter(bool), min_size=1, max_size=2))
def test_rows_of_all_stand_in_the_order_of_steps_and_the_latest_counts(
    tmp_path_factory: pytest.TempPathFactory, trained: list[int], sessions: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "r.h5"
    write(path, "each_epoch", trained).close()
    expected = {step: float(step) for step in trained}
    for k, steps in enumerate(sessions, 2):
        measured(path, steps, sign=-k)
        expected |= {step: -float(k * step) for step in steps}
    wanted = dict(sorted(expected.items()))
    with Run.open(path, trusted=True) as run:
        assert run.clock("s").step.tolist() == list(wanted)
        assert run.values("s", "b").tolist() == list(wanted.values())
        assert run.values("s")[:, 0].tolist() == list(wanted.values())
        whole = run.window("s", Window(points=1000))
        assert whole.step.tolist() == list(wanted)
        assert whole.mean[:, 1].tolist() == list(wanted.values())
        one = run.window("s", Window(points=1), "a")
        assert (one.min[0], one.max[0]) == (min(wanted.values()), max(wanted.values()))
        lo, hi = 7, 23
        inside = [step for step in wanted if lo <= step <= hi]
        clock, rows = run.rows("s", "a", Window(lo, hi))
        assert clock.step.tolist() == inside
        assert rows.tolist() == [wanted[step] for step in inside]
        assert run.window("s", Window(lo, hi)).rows == len(inside)
        for step in (0, 11, 40):
            before = [s for s in wanted if s <= step]
            if before:
                assert run.row("s", step, "b") == (before[-1], wanted[before[-1]])


def test_the_level_of_a_long_series_is_used_between_measured_rows(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    steps = list(range(0, 20_000, 2))
    write(path, "step", steps).close()
    measured(path, [1, 5001, 5002, 30_001], sign=-1)
    with Run.open(path, trusted=True) as run:
        assert len(run.clock("s")) == 10_003
        few = run.window("s", Window(points=10), "a")
        assert few.min.min() == -30_001
        assert few.max.max() == 19_998
        assert few.min[few.step <= 1].min() == -1
        total = run.window("s", Window(points=1), "a")
        every = sum(steps) - 5002 - (1 + 5001 + 5002 + 30_001)
        assert total.mean[0] == pytest.approx(every / 10_003, rel=1e-6)


def test_items_that_only_one_side_has_keep_their_own_rows(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    write(path, "each_epoch", [0, 10, 20]).close()
    measured(path, [5, 10], items=("b", "c"))
    with Run.open(path, trusted=True) as run:
        assert run.series["s"].items == ("a", "b", "c")
        assert run.clock("s", "a").step.tolist() == [0, 10, 20]
        assert run.clock("s", "b").step.tolist() == [0, 5, 10, 20]
        assert run.values("s", "b").tolist() == [0, -5, -10, 20]
        assert run.clock("s", "c").step.tolist() == [5, 10]


@pytest.mark.parametrize("state", [State.DONE, State.FAILED])
def test_what_became_of_the_training_stays_what_the_run_says(tmp_path: Path, state: State) -> None:
    path = tmp_path / "r.h5"
    write(path, "each_epoch", [0, 10]).close(state, error="ValueError: no" if state is State.FAILED else "")
    with Run.open(path, trusted=True) as run:
        ended = run.ended
    writer = write(path, "measured", [5], sign=-1, extend=True, measured=True)
    with Run.open(path, trusted=True) as run:
        assert (run.state, run.error, run.ended) == (state, "ValueError: no" if state is State.FAILED else "", ended)
        assert run.clock("s").step.tolist() == [0, 5, 10]
        writer.append("measured", step=7, epoch=0, time=1.0, values={"s": np.zeros(2)})
        assert run.refresh()
        assert run.clock("s").step.tolist() == [0, 5, 7, 10]
    writer.close()
    with Run.open(path, trusted=True) as run:
        assert (run.state, run.ended) == (state, ended)
        assert run.parts == 1
        (process,) = run.processes
        assert process.state is state


def test_a_run_of_measurements_alone_says_what_became_of_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    writer = write(path, "measured", [5, 10], measured=True)
    with Run.open(path, trusted=True) as run:
        assert run.state is State.RECORDING
    writer.close(State.FAILED, error="KeyboardInterrupt")
    measured(path, [15])
    with Run.open(path, trusted=True) as run:
        assert run.state is State.DONE
        assert run.clock("s").step.tolist() == [5, 10, 15]


def test_a_training_resumed_before_them_hides_measured_rows_and_packing_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    write(path, "each_epoch", [0, 10, 20]).close()
    measured(path, [5, 15])
    write(path, "each_epoch", [10, 18], sign=3, extend=True, resumed=10).close()
    packed = pack(path, tmp_path / "packed.h5")
    for where in (path, packed, repair(packed)):
        with Run.open(where, trusted=True) as run:
            assert run.clock("s").step.tolist() == [0, 5, 10, 18]
            assert run.values("s", "a").tolist() == [0, -5, 30, 54]
            assert run.state is State.DONE
