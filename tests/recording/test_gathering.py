"""Steps of a fast loop are read together: few of them, not long, and nothing of it shows in the run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import every, open_run, record
from recorder.instruments import GradientNorm
from recorder.recording.gathering import ROWS, SECONDS, STEPS, enough
from recorder.recording.recording import Recording
from tests.recording.quadratic import Quadratic


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=200), st.integers(0, 10_000))
def test_few_wait_and_none_longer_than_it_may(took, tensors):
    now, waiting = 0.0, []
    for seconds in took:
        now += seconds
        waiting.append(now)
        full = enough(len(waiting), age=now - waiting[0], took=seconds, tensors=tensors)
        assert full or now - waiting[0] + seconds <= SECONDS
        assert full or (len(waiting) < STEPS and len(waiting) * tensors < ROWS)
        if full:
            waiting.clear()


def test_a_slow_step_waits_for_none():
    assert enough(1, age=0.0, took=1.01 * SECONDS, tensors=1)


def train(path, steps, each=lambda run, step: None, *, took=0.0, monkeypatch=None, **options):
    model = Quadratic()
    with record(model, path, progress=False, **options) as run:
        if monkeypatch is not None:
            iteration = run._session.cost.iteration
            monkeypatch.setattr(run._session.cost, "iteration", lambda *a: iteration(*a) | {"step_time": took})
        for step in range(steps):
            model.update()
            run.step(loss=1.0 / (step + 1))
            each(run, step)
    return open_run(path)


def in_the_file(path):
    return len(open_run(path)["loss"].step)


def test_after_each_slow_step_its_row_is_in_the_file(tmp_path, monkeypatch):
    path, found = tmp_path / "q.h5", []
    train(path, 5, lambda *_: found.append(in_the_file(path)), took=2 * SECONDS, monkeypatch=monkeypatch)
    assert found == [1, 2, 3, 4, 5]


def test_of_fast_steps_the_first_is_there_and_the_rest_by_groups(tmp_path, monkeypatch):
    path, found = tmp_path / "q.h5", []
    train(path, 40, lambda *_: found.append(in_the_file(path)), took=0.0, monkeypatch=monkeypatch)
    assert found[0] == 1
    assert len(open_run(path)["loss"].step) == 40
    assert all(step + 1 - rows < STEPS for step, rows in enumerate(found))


@pytest.mark.parametrize("look", [str, Recording.epoch, Recording.checkpoint])
def test_who_looks_sees_all_of_them(tmp_path, look):
    path, found = tmp_path / "q.h5", []

    def each(run, step):
        look(run)
        found.append(in_the_file(path))

    train(path, 5, each)
    assert found == [1, 2, 3, 4, 5]


def test_events_stand_in_the_order_of_their_steps(tmp_path):
    def each(run, step):
        if step in (12, 17):
            run.event("note", f"by hand in step {step + 1}")
        if step == 14:
            run.phase("later")

    class Falls(GradientNorm):
        name = "falls"

        def declare(self, facts):
            return ()

        def measure(self, reading):
            return {} if reading.step < 5 else 1 / 0

    with pytest.warns(UserWarning, match="falls failed at step 5"):
        run = train(tmp_path / "q.h5", 30, each, instruments=[every(1, Falls())])
    told = [(e.kind, e.step) for e in run.events if e.kind in ("off", "note", "phase")]
    assert told == [("off", 5), ("note", 13), ("phase", 15), ("note", 18)]


def test_a_loss_that_stands_out_is_judged_at_once(tmp_path):
    model, told, seen = Quadratic(), [], []
    with record(model, tmp_path / "q.h5", progress=False, on_anomaly=told.append, flight_recorder=8) as run:
        for step in range(60):
            model.update()
            run.step(loss=float("nan") if step == 33 else 50.0 if step == 41 else 1.0 / (step + 1))
            seen.append(len(told))
    assert np.flatnonzero(np.diff(seen)).tolist() == [32, 40]
    assert [(a.kind, a.step) for a in told] == [("not_finite", 33), ("loss_spike", 41)]


def test_what_strictly_raises_does_so_at_its_step(tmp_path):
    class Failing:
        name = "failing"
        statistics = frozenset()
        needs = frozenset()

        def declare(self, facts):
            return ()

        def measure(self, reading):
            return {} if reading.step < 3 else 1 / 0

    model = Quadratic()
    with (
        pytest.raises(Exception, match="failing failed at step 3"),
        record(model, tmp_path / "q.h5", progress=False, strict=True, instruments=[every(1, Failing())]) as run,
    ):
        for _ in range(20):
            model.update()
            run.step(loss=1.0)
    assert run.steps == 4
