"""Health: each rule finds exactly what its definition says, once, with the first bad step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import Health, every, open_run, record
from recorder.analysis.health import Finding, Monitor, findings
from recorder.runfile.schema import Event
from tests.recording.quadratic import Quadratic

ITEMS = {
    "gradient_norm": ("w", "b"),
    "weight_norm": ("w", "b"),
    "gradient_nonfinite": ("w", "b"),
    "weight_nonfinite": ("w", "b"),
    "activation_dead_units": ("relu",),
    "activation_saturated_count": ("tanh",),
}


def judged(rows, health=None, **sizes):
    monitor = Monitor(health or Health(), **sizes)
    return [
        f for step, row in enumerate(rows) for f in monitor.row(step, ITEMS, {k: np.array(v) for k, v in row.items()})
    ]


def test_a_steady_training_is_healthy():
    rows = [{"gradient_norm": [1.0, 2.0], "weight_norm": [1.0, 1.0], "gradient_nonfinite": [0, 0]}] * 300
    assert judged(rows) == []


def test_a_norm_over_the_limit_explodes_once():
    rows = [{"gradient_norm": [1.0, 1.0]}] * 3 + [{"gradient_norm": [1.0, 1001.0]}] * 3
    assert judged(rows) == [Finding("exploding", "b", 3, 1001.0, 1000.0)]


def test_each_step_at_which_a_finding_is_met_again_counts_once_whichever_tensor_it_is():
    monitor = Monitor(Health())
    for step, bad in enumerate([[1, 0], [1, 1], [0, 0], [1, 0], [1, 1]]):
        monitor.row(step, ITEMS, {"gradient_nonfinite": np.array(bad)})
    assert monitor.again == {"not_finite": 3}


@pytest.mark.parametrize(("factor", "found"), [(99.0, 0), (101.0, 1)])
def test_a_norm_over_a_hundred_medians_explodes(factor, found):
    rng = np.random.default_rng(0)
    before = 1e-3 * np.exp(rng.normal(size=100))
    rows = [{"gradient_norm": [x, 1.0]} for x in before] + [{"gradient_norm": [factor * np.median(before), 1.0]}]
    said = judged(rows)
    assert [f.step for f in said] == [100] * found
    if said:
        assert said[0].limit == pytest.approx(100 * np.median(before))


@given(st.lists(st.floats(1e-6, 1e2), min_size=1, max_size=150))
def test_the_first_explosion_is_that_of_the_definition(norms):
    expected = next(
        (t for t, x in enumerate(norms) if x > 1e3 or (t >= 10 and x > 100 * np.median(norms[max(0, t - 100) : t]))),
        None,
    )
    said = judged([{"gradient_norm": [x, 1.0]} for x in norms])
    assert [f.step for f in said] == ([] if expected is None else [expected])


def test_a_few_rows_have_no_median_yet():
    assert judged([{"gradient_norm": [1e-6, 1.0]}] * 5 + [{"gradient_norm": [1.0, 1.0]}]) == []


@pytest.mark.parametrize(("weak", "found"), [(99, 0), (100, 1)])
def test_a_gradient_vanishes_after_a_hundred_weak_rows_and_the_first_of_them_is_said(weak, found):
    strong, faint = {"gradient_norm": [1e-6, 1.0], "weight_norm": [1.0, 1.0]}, {"gradient_norm": [1e-8, 1.0]}
    said = judged([strong] * 7 + [faint] * weak)
    assert [(f.finding, f.item, f.step) for f in said] == [("vanishing", "w", 7)] * found


def test_one_stronger_row_ends_the_stretch():
    faint, strong = ({"gradient_norm": [x, 1.0], "weight_norm": [1.0, 1.0]} for x in (1e-8, 1e-6))
    assert judged([faint] * 60 + [strong] + [faint] * 60) == []


def test_a_tensor_without_updates_neither_vanishes_nor_explodes():
    rows = [{"gradient_norm": [np.nan, 1.0], "weight_norm": [np.nan, 1.0]}] * 150
    assert judged(rows) == []


def test_values_that_are_not_finite():
    rows = [{"gradient_nonfinite": [0, 0], "weight_nonfinite": [0, 0]}, {"gradient_nonfinite": [0, 3]}] * 2
    assert judged(rows) == [Finding("not_finite", "b gradient", 1, 3.0, 0.0)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite(value):
    monitor = Monitor(Health())
    assert monitor.scalars(0, {"loss": 1.0, "other": np.nan}) == ()
    found = monitor.scalars(1, {"loss": value})
    assert [(f.finding, f.item, f.step) for f in found] == [("not_finite", "loss", 1)]
    assert monitor.scalars(2, {"loss": value}) == ()


def test_dead_units_and_saturation_are_shares_of_their_wholes():
    rows = [
        {"activation_dead_units": [0], "activation_saturated_count": [50]},
        {"activation_dead_units": [1], "activation_saturated_count": [51]},
    ]
    said = judged(rows, units={"relu": 4}, numbers={"tanh": 100})
    assert said == [Finding("dead_units", "relu", 1, 0.25, 0.0), Finding("saturated", "tanh", 1, 0.51, 0.5)]


def test_thresholds_can_be_set():
    rows = [{"gradient_norm": [2.0, 1.0]}, {"activation_dead_units": [1]}]
    health = Health(explode_norm=1.5, dead_share=0.5)
    assert [f.finding for f in judged(rows, health, units={"relu": 4})] == ["exploding"]


finite_or_not = st.floats(allow_nan=False)


@given(
    st.lists(st.builds(Finding, st.text(), st.text(), st.integers(0, 99), finite_or_not, st.floats(0, 9)), max_size=9)
)
def test_findings_come_back_from_events(found):
    events = [Event("health", f.text, f.step + 100, 0, 0.0) for f in found]
    back = findings(events)
    assert Counter(back) == Counter(found)
    assert [f.step for f in back] == sorted(f.step for f in found)


def test_within_a_step_the_loss_comes_first_and_gradients_from_the_last_tensor_back():
    said = [("not_finite", "a gradient"), ("not_finite", "b gradient"), ("not_finite", "loss"), ("dead_units", "relu")]
    events = [Event("health", Finding(*f, 7, 1.0, 0.0).text, 7, 0, 0.0) for f in said]
    assert [f.item for f in findings(events)] == ["loss", "relu", "b gradient", "a gradient"]


def test_other_and_unreadable_events_are_passed_over():
    events = [Event("note", "{}", 0, 0, 0.0), Event("health", "{", 0, 0, 0.0), Event("health", "[]", 0, 0, 0.0)]
    assert findings(events) == ()


def test_a_recording_notes_what_it_finds(tmp_path):
    model = Quadratic(rate=1.0)  # beyond 2 / 4: the tensor b diverges
    with record(model, tmp_path / "q.h5", instruments=["light"], progress=False) as run:
        for _ in range(60):
            model.update()
            run.step(loss=model.loss())
    said = {(f.finding, f.item): f.step for f in findings(open_run(tmp_path / "q.h5").events)}
    norms = open_run(tmp_path / "q.h5")["gradient_norm"].item("b")
    assert said["exploding", "b"] == norms.step[np.argmax(norms.values > 1e3)]
    assert said["saturated", "tanh"] == 0
    assert ("exploding", "a") in said


def test_a_tensor_that_comes_later_is_judged_without_a_past():
    health = Health(rows=20, at_least=10)
    monitor = Monitor(health)
    items = {"gradient_norm": ("a",), "weight_norm": ("a",)}
    found = []
    for step in range(60):
        if step == 30:
            items = {"gradient_norm": ("a", "late"), "weight_norm": ("a", "late")}
        n = len(items["gradient_norm"])
        norms = np.array([1.0, 900.0 if step == 55 else 1.0])[:n]
        if step != 30:  # weights are recorded at other steps than gradients
            found += monitor.row(step, items, {"weight_norm": np.ones(n)})
        found += monitor.row(step, items, {"gradient_norm": norms})
    assert [(f.finding, f.item, f.step) for f in found] == [("exploding", "late", 55)]


def test_a_resumed_training_is_judged_as_if_it_had_not_stopped(tmp_path):
    def train(path, stops, **options):
        model, losses = Quadratic(rate=0.05), np.ones(100)
        losses[[30, 70]] = 5.0, 9.0
        for step, stop in zip(stops, [*stops[1:], 100], strict=True):
            resume = {"resume": True, "step": step} if step or len(stops) > 1 else {}
            with record(model, path, instruments=norms, progress=False, **resume, **options) as run:
                for t in range(step, stop):
                    if t == 60:
                        model.weights["b"] = model.weights["b"] * 1e4
                    model.update()
                    run.step(loss=losses[t])
        return [(f.finding, f.item, f.step) for f in findings(open_run(path).events)]

    norms = [every(1, "gradient_norm"), every(1, "weight_norm")]
    health = Health(rows=20, vanish_ratio=2.0)
    whole = train(tmp_path / "whole.h5", [0], health=health)
    assert {f[0] for f in whole} == {"loss_spike", "exploding", "vanishing"}
    assert train(tmp_path / "parts.h5", [0, 12, 28, 55, 61, 69], health=health) == whole


def test_what_was_found_in_the_hidden_part_is_found_again(tmp_path):
    path, model = tmp_path / "q.h5", Quadratic()
    for begin, bad in ((0, 22), (20, 25)):
        with record(model, path, instruments=[], progress=False, resume=True, step=begin) as run:
            for t in range(begin, 30):
                run.step(loss=9.0 if t == bad else 1.0)
    assert [(f.finding, f.step) for f in findings(open_run(path).events)] == [("loss_spike", 25)]
