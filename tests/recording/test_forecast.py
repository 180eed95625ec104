"""The size of a run: forecasts agree with what is written, and a limit holds however long the training lasts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recorder import Probe, each_epoch, every, open_run, record
from recorder.errors import RecordError
from recorder.instruments import GradientNorm, RawSnapshots, WeightHistogram
from recorder.number import size
from recorder.recording.forecast import Budget, Forecast, Growth, duration, limit_of
from recorder.runfile.footprint import VOLUME, Footprint, Grid, footprints
from recorder.runfile.on_disk import on_disk
from recorder.runfile.schema import Kind, Series
from recorder.runfile.writer import RunWriter
from tests.recording.quadratic import Quadratic

SCALARS = Series("scalars", Kind.SCALAR, "", "", ("loss", "rate"), dtype="float64", item_dim="scalar", axis="step")


def norms(tensors: int) -> Series:
    return Series("norm", Kind.PER_ITEM, "", "", tuple(f"layer{k}.weight" for k in range(tensors)), axis="step")


HISTOGRAM = Series("histogram", Kind.DISTRIBUTION, "", "", ("a", "b"), (204,), ("bin",), "uint32", axis="step")
RAGGED = Series("raw", Kind.RAW, "", "", ("a", "b"), axis="step", ragged=((30, 40), (500,)))


def written(path, series, rows):
    """The bytes of a sealed run with so many random rows."""
    writer, random = RunWriter(path, meta={}), np.random.default_rng(0)
    writer.declare(*series)
    whole = {
        s.name: [random.normal(size=shape) for shape in s.ragged]
        if s.ragged
        else random.integers(0, 1 << 31, (len(s.items), *s.shape))
        for s in series
    }
    for step in range(rows):
        writer.append("step", step=step, epoch=0, time=0.0, values=whole)
    assert writer.close() == ""
    return on_disk(path)


@pytest.mark.parametrize("rows", [1, 700, 1025, 5000])
@pytest.mark.parametrize(
    "series",
    [(SCALARS,), (SCALARS, norms(6)), (norms(200),), (RAGGED,)],
    ids=["scalars", "small net", "large net", "ragged"],
)
def test_a_footprint_is_what_the_file_takes(tmp_path, series, rows):
    (expected,) = footprints(series).values()
    assert written(tmp_path / "a.h5", series, rows) == pytest.approx(VOLUME + expected.size(rows), rel=0.1)


def test_a_footprint_is_what_100_000_rows_take_with_their_level(tmp_path):
    series = (SCALARS, norms(40))
    (expected,) = footprints(series).values()
    size = written(tmp_path / "a.h5", series, 100_000)
    assert size == pytest.approx(VOLUME + expected.size(100_000), rel=0.01)
    assert size == pytest.approx(100_000 * expected.row, rel=0.05)


def test_what_is_packed_takes_at_most_its_footprint(tmp_path):
    (expected,) = footprints((HISTOGRAM,)).values()
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.declare(HISTOGRAM)
    for step in range(3000):  # mostly empty bins, as counts are
        writer.append("step", step=step, epoch=0, time=0.0, values={"histogram": np.eye(2, 204) * step})
    writer.close()
    assert expected.size(3000) > 4e6
    assert on_disk(tmp_path / "a.h5") < expected.size(3000) / 10


# -- the forecast of a recording -----------------------------------------------------------------------------------


def recorded(path, *, steps, per_epoch=500, **options):
    """-> (forecast after ten steps, forecast at the end, bytes on disk)."""
    model, early = Quadratic(), None
    with record(model, path, progress=False, strict=True, **options) as run:
        for step in range(steps):
            model.update()
            run.step(loss=1.0)
            if step % per_epoch == per_epoch - 1:
                run.epoch(accuracy=0.5)
            if step == 9:
                early = run.summary.forecast
        late = run.summary.forecast
    return early, late, on_disk(path)


def test_a_forecast_after_ten_steps_says_how_large_the_run_becomes(tmp_path):
    asked = [every(1, GradientNorm()), every(1, RawSnapshots("*"))]
    early, late, size = recorded(tmp_path / "q.h5", steps=10_000, instruments=asked)
    assert size > 1e6
    assert early.bytes(steps=10_000, epochs=20) == pytest.approx(size, rel=0.2)
    assert late.bytes(steps=10_000, epochs=20) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("preset", ["light", "full"])
def test_a_forecast_of_a_network_agrees_with_its_file(tmp_path, preset):
    layers = [m for k in range(20) for m in (torch.nn.Linear(8, 8), torch.nn.Tanh())]
    model, x = torch.nn.Sequential(*layers), torch.randn(16, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, tmp_path / "m.h5", optimizer=optimizer, probe=x, instruments=preset, progress=False) as run:
        for step in range(100):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            run.step(loss=loss)
            if step % 25 == 24:
                run.epoch(accuracy=0.5)
        forecast = run.summary.forecast
    size_ = on_disk(tmp_path / "m.h5")
    assert size_ > 1e6
    if preset == "light":
        assert forecast.bytes(steps=100, epochs=4) == pytest.approx(size_, rel=0.2)
    else:
        assert size_ < forecast.bytes(steps=100, epochs=4)


def test_a_forecast_says_at_most_where_histograms_are_packed(tmp_path):
    early, _, size = recorded(tmp_path / "q.h5", steps=1500, instruments=[every(1, WeightHistogram())])
    assert "at most" in str(early)
    assert size < early.bytes(steps=1500, epochs=3)


def test_a_forecast_counts_updates(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[every(2, GradientNorm())], progress=False) as run:
        assert [axis.per_step for axis in run.summary.forecast.axes] == [1 / 2, 1]
        for step in range(100):
            if step % 4 == 3:  # gradients of four batches are summed
                model.update()
            run.step()
        assert [axis.per_step for axis in run.summary.forecast.axes] == [1 / 8, 1]


def test_before_the_first_step_a_scalar_has_a_price(tmp_path):
    with record(Quadratic(), tmp_path / "q.h5", instruments=[], progress=False) as run:
        assert "80 kB per 10,000 steps for each scalar of the loop" in " ".join(str(run).split())
        before = run.summary.forecast
        run.step(loss=1.0, error=2.0)
        assert run.summary.forecast.per_step - before.per_step == pytest.approx(3 * 8, rel=0.02)  # and learning_rate


def test_a_forecast_adds_up_its_axes():
    step = Footprint(1000, (Grid(100, 8000),))
    epoch = Footprint(500, (Grid(1, 24),), (Grid(2, 10_000),))
    forecast = Forecast((Growth(1.0, 0.0, step), Growth(0.0, 1.0, epoch)))
    assert (forecast.per_step, forecast.per_epoch) == (80, 5024)
    assert forecast.bytes(steps=101, epochs=3) == VOLUME + 1000 + 2 * 8000 + 500 + 3 * 24 + 2 * 10_000
    assert str(forecast) == "34 kB with the first rows, then about 800 kB per 10,000 steps and at most 5.0 kB per epoch"


# -- a limit -------------------------------------------------------------------------------------------------------


@given(
    limit=st.integers(20_000, 10_000_000),
    rows=st.lists(st.tuples(st.integers(1, 999), st.integers(1, 50)), min_size=1, max_size=6),
)
def test_the_budget_is_never_used_up(limit, rows):
    """Several axes, each with a row of its own size every so many steps."""
    budget = Budget(limit)
    for k, (size_, _) in enumerate(rows):
        budget.declare(f"{k}", Footprint(0, (Grid(1, size_),)))
    for step in range(3000):
        for k, (_, n) in enumerate(rows):
            if step % (n * budget.thin.get(f"{k}", 1)) == 0 and budget.affords(f"{k}"):
                budget.spend(f"{k}")
    assert budget.used <= limit


@given(steps=st.integers(1000, 10**9))
def test_every_doubling_of_the_length_has_its_share_of_the_limit(steps):
    budget, recorded_, step = Budget(100_000), [], 0
    budget.declare("step", Footprint(0, (Grid(1, 100),)))
    while step < steps and budget.affords("step"):
        recorded_.append(step)
        budget.spend("step")
        step += budget.thin.get("step", 1)
    assert len(recorded_) <= 1000
    assert step >= steps  # it never came to an end
    assert sum(step >= steps // 2 for step in recorded_) >= 5


def test_what_grows_fastest_is_thinned_first():
    budget = Budget(1_000_000)
    budget.declare("scalars", Footprint(0, (Grid(1, 10),)))
    budget.declare("tensors", Footprint(0, (Grid(1, 1000),)))
    first = {}
    for step in range(100_000):
        for axis in ("scalars", "tensors"):
            if step % budget.thin.get(axis, 1) == 0 and (thinned := budget.spend(axis)):
                first.setdefault(thinned, step)
    assert first["tensors"] < first["scalars"] / 10
    assert budget.thin["tensors"] > budget.thin["scalars"]


@given(bytes=st.lists(st.integers(0, 1000), max_size=50))
def test_without_a_limit_nothing_is_thinned(bytes):
    budget = Budget(None)
    for k, size_ in enumerate(bytes):
        budget.declare(f"{k}", Footprint(0, (Grid(1, size_),)))
        assert budget.affords(f"{k}")
        assert budget.spend(f"{k}") == ""
    assert not budget.thin


@pytest.mark.parametrize("steps", [3000, 24_000])
def test_a_long_run_stays_below_its_limit_and_says_what_was_thinned(tmp_path, steps):
    limit = 400_000
    _, forecast, size_ = recorded(
        tmp_path / "q.h5", steps=steps, instruments=[every(1, GradientNorm()), each_epoch(WeightHistogram())],
        max_size=limit,
    )  # fmt: skip
    assert size_ <= limit
    assert forecast.bytes(steps=steps, epochs=steps // 500) > limit / 2
    run = open_run(tmp_path / "q.h5")
    assert run.meta["max_size"] == limit
    thinned = [e for e in run.events if e.kind == "thinned"]
    assert thinned[0].text.startswith("max_size of 400 kB: from here on 1 of 2 rows of gradient_norm, loss, ")
    kept = run["loss"].step
    assert kept[: thinned[0].step].tolist() == list(range(thinned[0].step))
    later = kept[kept > thinned[0].step]
    assert len(later)
    assert not (later % 2).any()
    assert kept[-1] > steps - steps // 20  # rows to the very end
    assert run["accuracy"].step.tolist() == list(range(500, steps + 1, 500))  # what comes rarely is not thinned


def test_scalars_stay_beside_what_counts_updates_when_both_are_thinned(tmp_path):
    model = Quadratic()
    with record(
        model, tmp_path / "q.h5", instruments=[every(1, GradientNorm())], max_size="200 kB", progress=False
    ) as run:
        for step in range(3000):
            if step != 7:  # an update that was skipped: from here on updates and iterations differ by one
                model.update()
            run.step(loss=1.0)
    run = open_run(tmp_path / "q.h5")
    late = run.clock("gradient_norm").step > 2000
    assert late.sum() > 3
    assert not np.isnan(run["gradient_norm"].values[late]).any()
    assert not np.isnan(run["loss"].values).any()


@pytest.mark.parametrize(
    ("given_", "bytes"),
    [
        (None, None), (2e9, 2_000_000_000), ("2GB", 2_000_000_000), (" 500 mb ", 500_000_000), ("1.5e3k", 1_500_000),
        (np.int64(7_000_000), 7_000_000),
    ],
)  # fmt: skip
def test_a_limit_is_a_number_or_a_text(given_, bytes):
    assert limit_of(given_, ()) == bytes


@pytest.mark.parametrize(
    "given_", ["lots", "2 GiB!", "-1GB", "", 0, -5, float("nan"), float("inf"), True, [1], "1e3e3"]
)
def test_a_limit_that_is_none_is_refused_at_the_door(tmp_path, given_):
    with pytest.raises(RecordError, match=r"max_size=.*expected a number of bytes above 0, such as 2e9"):
        record(Quadratic(), tmp_path / "q.h5", max_size=given_)
    assert not any(tmp_path.iterdir())


def test_a_limit_that_holds_no_row_is_refused_at_the_door(tmp_path):
    with pytest.raises(RecordError, match=r"one row of everything that is to be recorded takes .* give more than that"):
        record(Quadratic(), tmp_path / "q.h5", instruments="full", max_size="50 kB")


@pytest.mark.parametrize(
    ("bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1234, "1.2 kB"),
        (56_789, "57 kB"),
        (999_600, "1.0 MB"),
        (1.2e6, "1.2 MB"),
        (3e12, "3.0 TB"),
    ],
)
def test_sizes_as_words(bytes, text):
    assert size(bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (0.00012, "0.12 ms"), (3e-6, "3 us")]
)
def test_durations_as_words(seconds, text):
    assert duration(seconds) == text


def test_what_has_large_rows_is_thinned_alone(tmp_path):
    """Matrices of a probe and a number a layer are due together, and only the matrices are too many."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 200), torch.nn.ReLU(), torch.nn.Linear(200, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    asked = ["unit_correlation", "effective_dimension", "unit_correlation@noise"]
    probe = {"digits": Probe(torch.randn(9, 4)), "noise": Probe(torch.randn(9, 4))}
    options = {"optimizer": optimizer, "probe": probe, "instruments": asked, "progress": False, "strict": True}
    with record(model, tmp_path / "a.h5", max_size="3 MB", **options) as run:
        for _ in range(40):
            optimizer.step()
            run.step()
            run.epoch()
    assert on_disk(tmp_path / "a.h5") <= 3e6
    run = open_run(tmp_path / "a.h5")
    assert run.clock("effective_dimension").step.tolist() == list(range(41))
    for name in ("unit_correlation", "unit_correlation@noise"):
        assert 2 < len(run.clock(name)) < 40
    told = [e.text for e in run.events if e.kind == "thinned"]
    assert any("rows of unit_correlation is recorded" in text for text in told)
    assert any("rows of unit_correlation@noise is recorded" in text for text in told)


def test_a_forecast_of_representations_is_what_they_take(tmp_path):
    """A matrix an item, many of another shape, on axes of their own."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 90), torch.nn.ReLU(), torch.nn.Linear(90, 300), torch.nn.Tanh())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    asked = ["unit_correlation", "correlation_summary", "sample_correlation", "cka", "effective_dimension",
             "probe_activations"]  # fmt: skip
    options = {"optimizer": optimizer, "probe": torch.randn(40, 4), "progress": False, "strict": True}
    with record(model, tmp_path / "a.h5", instruments=asked, **options) as run:
        for _ in range(12):
            optimizer.step()
            run.step()
            run.epoch()
        expected = run.summary.forecast.bytes(steps=12, epochs=13)
    assert expected == pytest.approx(on_disk(tmp_path / "a.h5"), rel=0.1)
