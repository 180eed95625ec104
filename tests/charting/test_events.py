"""The events of a run are told in its steps' order, and a finding in words that say what is wrong."""

from __future__ import annotations

import math

import pytest

from recorder.analysis.health import Finding
from recorder.chart import Chart, Table
from recorder.charting.events import said
from recorder.entries import chart_of, entries
from recorder.runfile.schema import Event
from recorder.view import At, Window
from tests.fakes import FakeRun, fake_run

DEAD = Finding("dead_units", "relu2", 5, 1 / 256, 0.0)
EVENTS = (
    Event("phase", "warm-up", 0, 0, 1.0),
    Event("warning", "update skipped", 9, 1, 2.0),
    Event("health", DEAD.text, 12, 1, 3.0),  # found late
)


def run(*events: Event) -> FakeRun:
    fake = fake_run(20)
    return FakeRun(fake.name, fake.data, fake.meta, events)


def table(at: At = At(), window: Window = Window()) -> Table:  # noqa: B008 - frozen
    view = chart_of(run(*EVENTS), "events", at, window)
    assert isinstance(view, Chart)
    (mark,) = view.marks
    assert isinstance(mark, Table)
    return mark


def test_rows_stand_by_step_and_a_finding_at_its_first_bad_step() -> None:
    assert [row[:3] for row in table().rows] == [("0", "0", "phase"), ("5", "1", "health"), ("9", "1", "warning")]
    assert [row[3] for row in table().rows] == ["warm-up", "dead units in relu2: 0.39 % of its units", "update skipped"]


@pytest.mark.parametrize(("step", "row"), [(None, 2), (0, 0), (4, 0), (5, 1), (8, 1), (100, 2)])
def test_the_row_is_that_of_the_cursor(step: int | None, row: int) -> None:
    assert table(At(step=step)).row == row


def test_a_window_holds_its_own_events() -> None:
    assert [row[0] for row in table(window=Window(1, 8)).rows] == ["5"]
    empty = chart_of(run(*EVENTS), "events", At(), Window(1, 2))
    assert not empty.marks if isinstance(empty, Chart) else False
    assert "Nothing in this stretch" in empty.caption


def test_a_run_without_events_offers_none() -> None:
    assert "events" not in [entry.name for entry in entries(run())]
    assert [entry.name for entry in entries(run(*EVENTS))][-1] == "events"


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (Finding("exploding", "fc1", 4, 2140.0, 1000.0), "exploding in fc1: gradient norm 2140, limit 1000"),
        (Finding("exploding", "fc1", 4, math.inf, 1000.0), "exploding in fc1: gradient norm inf, limit 1000"),
        (Finding("dead_units", "relu", 4, 1.0, 0.0), "dead units in relu: 100 % of its units"),
        (Finding("saturated", "tanh", 4, 0.75, 0.5), "saturated in tanh: 75 % of its activations, limit 50 %"),
        (Finding("not_finite", "loss", 4, math.nan, 0.0), "not finite in loss"),
    ],
)
def test_a_finding_is_said_in_words(finding: Finding, words: str) -> None:
    assert said(finding) == words
