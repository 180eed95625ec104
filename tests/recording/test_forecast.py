"""The size of a run: forecasts agree with what is written, and a limit holds however long the training lasts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import open_run, record
from recorder.recording.forecast import Budget, Forecast, duration, size
from recorder.schedule import each_epoch, every, pairs
from tests.recording.quadratic import Quadratic


@given(limit=st.integers(10_000, 10_000_000), row=st.integers(1, 99))
def test_the_budget_is_never_used_up(limit, row):
    budget = Budget(limit)
    for step in range(3000):
        if step % budget.thin == 0:
            budget.spend(row)
    assert budget.used <= limit + row


@given(steps=st.integers(1000, 10**9))
def test_every_doubling_of_the_length_has_its_share_of_the_limit(steps):
    budget, recorded, step = Budget(100_000), [], 0
    while step < steps:
        recorded.append(step)
        budget.spend(100)
        step += budget.thin
    assert len(recorded) <= 1001
    assert sum(step >= steps // 2 for step in recorded) >= 100_000 / 100 / 32 / 2


def test_a_limit_that_is_used_up_ends_the_rows():
    budget = Budget(1000)
    while budget.used <= 1000:
        budget.spend(100)
    assert budget.thin > 10**18


@given(bytes=st.lists(st.integers(0, 1000), max_size=50))
def test_without_a_limit_nothing_is_thinned(bytes):
    budget = Budget(None)
    assert not any(budget.spend(b) for b in bytes)
    assert (budget.used, budget.thin) == (sum(bytes), 1)


def test_a_forecast_adds_up_its_axes():
    forecast = Forecast(((every(1), 80), (pairs(10), 200), (each_epoch(), 5000)))
    assert forecast.bytes(steps=1000, epochs=2) == 1000 * 80 + 200 * 200 + 2 * 5000
    assert str(forecast) == "about 1.2 MB per 10,000 steps and 5.0 kB per epoch"


def test_the_forecast_of_a_recording_agrees_with_what_it_wrote(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments="full", progress=False) as run:
        for step in range(2000):
            model.update()
            run.step(loss=1.0)
            if step % 500 == 499:
                run.epoch(accuracy=0.5)
        summary = run.summary
    assert summary.written == pytest.approx(summary.forecast.bytes(steps=2000, epochs=4), rel=0.05)
    assert summary.written < 2 * open_run(tmp_path / "q.h5").size


@pytest.mark.parametrize(
    ("bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (56_789, "57 kB"), (1.2e6, "1.2 MB"), (3e12, "3.0 TB")],
)
def test_sizes_as_words(bytes, text):
    assert size(bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (0.00012, "0.12 ms"), (3e-6, "3 us")]
)
def test_durations_as_words(seconds, text):
    assert duration(seconds) == text
