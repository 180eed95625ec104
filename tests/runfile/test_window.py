"""A window is what one gets by looking at every row: nothing is lost, whichever way it was computed."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.errors import NotRecordedError
from recorder.runfile.reader import Run
from recorder.runfile.schema import Kind, Series
from recorder.runfile.writer import RunWriter
from recorder.view import Envelope, Window
from tests.runfile.runs import PER_EPOCH, SCALARS, START, norms, write

ITEMS = ("a", "b", "c")
LONG = 40_000


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, np.ndarray, np.ndarray]]:
    """40,000 rows at odd steps with NaN, infinities and spikes: the level is used, and is not all there is."""
    path = tmp_path_factory.mktemp("window") / "long.h5"
    rng = np.random.default_rng(0)
    values = rng.normal(size=(LONG, 3)).astype("f4")
    values[rng.random(values.shape) < 0.001] = np.nan
    values[rng.random(values.shape) < 0.001] = np.inf
    values[7_000:8_000, 1] = np.nan
    values[12_345, 2] = 1e6
    steps = np.cumsum(rng.integers(1, 4, LONG))
    writer = RunWriter(path, meta={})
    writer.declare(Series("norm", Kind.PER_ITEM, "", "", ITEMS, axis="step"))
    for step, row in zip(steps.tolist(), values, strict=True):
        writer.append("step", step=step, epoch=step // 1000, time=START + step, values={"norm": row})
    writer.close()
    with Run.open(path) as run:
        assert run.volumes[0].level_buckets("norm") == 128
        yield run, steps, values


def check(found: Envelope, window: Window, steps: np.ndarray, values: np.ndarray) -> None:
    """Compare with one number at a time; buckets begin where the envelope says."""
    lo = steps[0] if window.lo is None else window.lo
    hi = steps[-1] if window.hi is None else window.hi
    inside = (steps >= lo) & (steps <= hi)
    steps, values = steps[inside], values[inside].astype(float)
    assert found.rows == len(steps)
    assert len(found.step) <= window.points
    assert (len(found.step) == 0) == (len(steps) == 0)
    if not len(steps):
        return
    assert found.step[0] == steps[0]
    assert (np.diff(found.step) > 0).all()
    assert np.isin(found.step, steps).all()
    starts = np.searchsorted(steps, found.step)
    for k, rows in enumerate(np.split(values, starts[1:])):
        finite = np.isfinite(rows)
        np.testing.assert_array_equal(found.nonfinite[k], (~finite).sum(axis=0))
        for column in range(rows.shape[1]):
            own = rows[finite[:, column], column]
            expected = (own.min(), own.mean(), own.max()) if len(own) else (np.nan,) * 3
            got = [np.atleast_1d(x[k])[column] for x in (found.min, found.mean, found.max)]
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


bounds = st.one_of(st.none(), st.integers(-10, 90_000))


@given(bounds, bounds, st.integers(1, 700), st.sampled_from([None, *ITEMS]))
@settings(max_examples=60, deadline=None)
def test_any_window_is_exact(
    long: tuple[Run, np.ndarray, np.ndarray], lo: int | None, hi: int | None, points: int, item: str | None
) -> None:
    run, steps, values = long
    window = Window(lo, hi, points)
    columns = values if item is None else values[:, [ITEMS.index(item)]]
    check(run.window("norm", window, item), window, steps, columns)


def test_a_spike_of_one_step_is_seen_in_a_window_of_everything(long: tuple[Run, np.ndarray, np.ndarray]) -> None:
    run, _, _ = long
    assert np.nanmax(run.window("norm", Window(points=50), "c").max) == 1e6


def test_few_rows_are_one_bucket_each(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 30)
    with Run.open(tmp_path / "a") as run:
        found = run.window("gradient_norm", Window(3, 12))
        np.testing.assert_array_equal(found.step, np.arange(3, 13))
        np.testing.assert_allclose(
            found.mean, np.where(np.isfinite(v := np.array([norms(s) for s in range(3, 13)])), v, np.nan)
        )
        assert found.nonfinite.sum() == (~np.isfinite(v)).sum()


def test_rows_of_many_numbers_are_summarised_over_all_of_them(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 30)
    with Run.open(tmp_path / "a") as run:
        one = run.window("weight_histogram", Window(), "fc1.bias")
        np.testing.assert_array_equal(one.min, 7.0 * np.array([1, 11, 21]))
        np.testing.assert_array_equal(one.mean, 10.0 * np.array([1, 11, 21]))
        assert run.window("weight_histogram", Window()).max.shape == (3, 3)
        np.testing.assert_array_equal(run.window("raw", Window(points=1), "w").mean, [10.5])
        with pytest.raises(NotRecordedError, match="different shapes"):
            run.window("raw", Window())


@given(st.integers(1, 60), bounds)
@settings(max_examples=30, deadline=None)
def test_items_of_several_volumes_stand_beside_each_other(resumed: Run, points: int, hi: int | None) -> None:
    old, new = 1.0 / (1 + np.arange(200)), -np.arange(200, 300.0)
    loss = np.concatenate([old, new])
    late = np.where(np.arange(300) < 250, np.nan, np.arange(300))
    window = Window(None, hi, points)
    found = resumed.window("scalars", window)
    assert found.min.shape == (len(found.step), 3)
    edges = [*found.step.tolist(), 301 if hi is None else hi + 1]
    for k, (a, b) in enumerate(pairwise(edges)):
        a, b = min(a, 300), min(b, 300)
        if a < b:
            assert found.min[k, 0] == loss[a:b].min()
            np.testing.assert_allclose(found.mean[k, 0], loss[a:b].mean())
        rest = late[a:b][np.isfinite(late[a:b])]
        np.testing.assert_equal(found.max[k, 2], rest.max() if len(rest) else np.nan)
    np.testing.assert_array_equal(found.nonfinite, 0)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`loss` over 300 steps in two volumes, of which 200 to 249 were recorded twice; `late` from step 250 on."""
    path = tmp_path_factory.mktemp("resumed") / "a.h5"
    writer = RunWriter(path, meta={}, block_bytes=1 << 10)
    writer.declare(SCALARS)
    for step in range(250):
        values = {"scalars": {"loss": 1.0 / (1 + step), "rate": 1.0}}
        writer.append("step", step=step, epoch=0, time=START + step, values=values)
    writer.close()
    writer = RunWriter(path, meta={}, block_bytes=1 << 10, extend=True)
    writer.declare(SCALARS)
    for step in range(200, 300):
        if step == 250:
            writer.declare(Series("scalars", Kind.SCALAR, "", "", ("late",), dtype="float64", axis="step"))
        values = {"scalars": {"loss": -step, "rate": 1.0} | ({"late": step} if step >= 250 else {})}
        writer.append("step", step=step, epoch=1, time=START + 1000 + step, values=values)
    writer.close()
    with Run.open(path) as run:
        yield run


def test_epochs_and_seconds_as_x(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 35)
    with Run.open(tmp_path / "a") as run:
        x = run.window("gradient_norm", Window(x="epoch")).x
        np.testing.assert_allclose(x, np.arange(35) / PER_EPOCH)
        np.testing.assert_allclose(run.window("weight_histogram", Window(x="epoch")).x, [0, 1, 2, 3])
        seconds = run.window("gradient_norm", Window(x="time")).x
        np.testing.assert_allclose(np.diff(seconds), 1.0)
        np.testing.assert_allclose(seconds[0], START - run.started)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_epochs_of_any_length_grow_evenly(tmp_path_factory: pytest.TempPathFactory, lengths: list[int]) -> None:
    path = tmp_path_factory.mktemp("epochs") / "a.h5"
    writer = RunWriter(path, meta={})
    writer.declare(SCALARS)
    epochs = np.repeat(np.arange(len(lengths)), lengths)
    for step, epoch in enumerate(epochs.tolist()):
        writer.append("step", step=step, epoch=epoch, time=START, values={"scalars": {"loss": 0.0}})
    writer.close()
    with Run.open(path) as run:
        x = run.window("scalars", Window(x="epoch"), "loss").x
    assert (np.diff(x) > 0).all()
    np.testing.assert_array_equal(np.floor(x), epochs)
    starts = np.cumsum([0, *lengths[:-1]])
    np.testing.assert_array_equal(x[starts], np.arange(len(lengths)))


@given(st.integers(1, 50), bounds, bounds)
@settings(max_examples=30, deadline=None)
def test_rows_are_whole_evenly_chosen_and_have_both_ends(
    long: tuple[Run, np.ndarray, np.ndarray], points: int, lo: int | None, hi: int | None
) -> None:
    run, steps, values = long
    clock, found = run.rows("norm", "b", Window(lo, hi, points))
    inside = np.flatnonzero((steps >= (lo if lo is not None else 0)) & (steps <= (hi if hi is not None else 1 << 40)))
    assert len(clock) == min(points, len(inside)) == len(found)
    if len(inside):
        assert clock.step[0] == steps[inside[0]]
        assert points == 1 or clock.step[-1] == steps[inside[-1]]
    np.testing.assert_array_equal(found, values[np.searchsorted(steps, clock.step), 1])
    gaps = np.diff(np.searchsorted(steps, clock.step))
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
