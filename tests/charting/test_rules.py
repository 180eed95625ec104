"""What happened in a run stands on its charts over steps: phases, skipped updates, the first step that went wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recorder.analysis.health import Finding
from recorder.chart import Rule, View
from recorder.charting.rules import MOST, explained, rules
from recorder.entries import chart_of, entries
from recorder.runfile.schema import Event
from recorder.view import At, Window
from tests.charting.kinds import run_of_kinds
from tests.fakes import FakeRun, fake_run


def event(kind: str, text: str, step: int) -> Event:
    return Event(kind, text, step, step // 100, 1.7e9 + step)


def finding(name: str, item: str, step: int) -> Event:
    return event("health", Finding(name, item, step, 1e4, 1e3).text, step)


def having(*events: Event, steps: int = 500) -> FakeRun:
    return replace(fake_run(steps=steps), events=events)


def drawn(view: View) -> list[tuple[float, str, str]]:
    charts = view.charts
    return [(m.at, m.label, m.role) for chart in charts for m in chart.marks if isinstance(m, Rule)]


def test_a_phase_a_skipped_update_and_a_failed_instrument_are_rules_of_every_curve() -> None:
    run = having(event("phase", "fine-tuning", 200), event("note", "update skipped", 50), event("warning", "off", 300))
    expected = [(300.0, "off", "bad"), (50.0, "update skipped", "note"), (200.0, "fine-tuning", "note")]
    assert drawn(chart_of(run, "loss")) == expected
    assert drawn(chart_of(run, "gradient_norm")) == expected  # on the curve below the map, not over its cells
    assert drawn(chart_of(run, "weight_histogram")) == expected


@pytest.mark.parametrize(("x", "at"), [("step", 250.0), ("time", 250.0)])
@pytest.mark.parametrize("points", [1000, 7])
def test_a_rule_stands_where_its_step_is_on_the_axis(x, at: float, points: int) -> None:
    ((place, _, _),) = drawn(chart_of(having(event("phase", "p", 250)), "loss", window=Window(points=points, x=x)))
    assert place == pytest.approx(at)


def test_checkpoints_and_what_lies_outside_the_window_are_not_drawn() -> None:
    run = having(event("checkpoint", "step-10.pth", 10), event("phase", "early", 20), event("phase", "late", 400))
    assert drawn(chart_of(run, "loss", window=Window(lo=100, hi=300))) == []


def test_the_first_step_that_spoils_the_run_is_on_every_curve_and_an_items_findings_on_its_own() -> None:
    run = having(
        finding("dead_units", "relu1", 0),
        finding("exploding", "layer0.bias", 40),
        finding("not_finite", "layer1.bias gradient", 90),
    )
    assert drawn(chart_of(run, "loss")) == [(40.0, "exploding: layer0.bias", "bad")]
    assert drawn(chart_of(run, "gradient_norm", At(item="layer0.bias"))) == [(40.0, "exploding", "bad")]
    assert drawn(chart_of(run, "gradient_norm", At(item="layer1.bias"))) == [
        (40.0, "exploding: layer0.bias", "bad"),
        (90.0, "not finite", "bad"),
    ]


def test_of_many_events_the_bad_ones_and_the_first_are_drawn() -> None:
    many = [event("note", f"n{k}", k) for k in range(100)]
    run = having(*many, finding("exploding", "layer0.bias", 99))
    found = rules(run, np.arange(500), np.arange(500.0))
    assert len(found) == MOST
    assert found[0].role == "bad"
    assert [rule.at for rule in found[1:]] == list(range(MOST - 1))


def test_the_caption_says_what_the_rules_are() -> None:
    run = having(event("phase", "fine-tuning", 200), event("note", "skipped", 50), event("note", "skipped", 60))
    assert "rules: skipped (50 and 1 more), fine-tuning (200)." in chart_of(run, "loss").caption
    assert explained(()) == ""
    several = explained([Rule(float(k), label=f"p{k}") for k in range(9)])
    assert several.endswith("p4 (4) and 4 more")


def test_a_run_without_events_and_a_chart_without_rows_have_no_rules() -> None:
    assert rules(having(), np.arange(5), np.arange(5.0)) == ()
    assert rules(having(event("phase", "p", 0)), np.zeros(0), np.zeros(0)) == ()


def test_charts_that_are_not_over_steps_have_none() -> None:
    run = replace(run_of_kinds(), events=(event("phase", "p", 10),))
    over_steps = {entry.name for entry in entries(run) if drawn(chart_of(run, entry.name))}
    assert over_steps == {"loss", "rate", "norm", "usage", "histogram"}
