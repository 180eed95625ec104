"""The cursor stays on recorded rows, always moves when it can, and a zoom always shows it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.cursor import Track

STEPS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True).map(sorted)


def track(steps: list[int]) -> Track:
    return Track(np.array(steps), np.array(steps) / 10.0)


@given(STEPS, st.integers(-10, 10_010))
def test_a_step_means_the_last_row_before_it(steps: list[int], step: int) -> None:
    row = track(steps).row(step)
    assert steps[row] <= step or row == 0
    assert row == len(steps) - 1 or steps[row + 1] > step
    assert track(steps).row(None) == len(steps) - 1


@given(STEPS, st.data())
def test_moving_by_a_column_moves_by_a_row_at_least(steps: list[int], data: st.DataObject) -> None:
    t = track(steps)
    at = data.draw(st.sampled_from(steps))
    by = data.draw(st.floats(-500, 500).filter(bool))
    to = t.by_x(at, by)
    moved = t.row(to) - t.row(at)
    if by > 0:
        assert moved >= 1 or t.row(at) == len(steps) - 1
    else:
        assert moved <= -1 or t.row(at) == 0
    assert to is None or to in steps


@given(STEPS, st.data(), st.integers(-20, 20))
def test_moving_by_rows_and_back(steps: list[int], data: st.DataObject, by: int) -> None:
    t = track(steps)
    at = data.draw(st.sampled_from(steps))
    to = t.by_rows(at, by)
    assert t.row(to) == min(max(t.row(at) + by, 0), len(steps) - 1)


def test_past_the_last_row_the_run_is_followed() -> None:
    assert track([0, 10, 20]).by_rows(10, 1) is None
    assert track([0, 10, 20]).by_x(10, 5.0) is None
    assert track([0, 10, 20]).by_rows(20, -1) == 10


@given(STEPS, st.data(), st.lists(st.sampled_from([-1, 1]), max_size=20))
def test_a_zoom_shows_the_cursor_and_lies_within_the_run(
    steps: list[int], data: st.DataObject, ways: list[int]
) -> None:
    t = track(steps)
    at = data.draw(st.sampled_from(steps))
    zoom: tuple[int | None, int | None] = (None, None)
    for way in ways:
        zoom = t.zoomed(zoom, at, way)
        lo, hi = zoom
        if lo is not None and hi is not None:
            assert steps[0] <= lo <= at <= hi <= steps[-1]
            assert lo < hi
    for _ in range(20):
        zoom = t.zoomed(zoom, at, -1)
    assert zoom == (None, None)
    assert t.zoomed((3, 4), at, 0) == (None, None)


@given(STEPS.filter(lambda s: s[-1] - s[0] > 8), st.data())
def test_a_pan_shows_the_cursor_and_keeps_the_width(steps: list[int], data: st.DataObject) -> None:
    t = track(steps)
    zoom = t.zoomed((None, None), steps[0], 1)
    at = data.draw(st.sampled_from(steps))
    lo, hi = t.panned(zoom, at)
    assert lo is not None
    assert hi is not None
    assert lo <= at <= hi
    assert hi - lo == zoom[1] - zoom[0]
    assert steps[0] <= lo


def test_a_track_without_rows_stands_still() -> None:
    t = Track()
    assert t.by_rows(3, 1) == 3
    assert t.by_x(3, 1.0) == 3
    assert t.place(3) is None
    assert t.nearest(1.0) is None
    assert t.zoomed((None, None), None, 1) == (None, None)
    assert t.ends((None, None)) == (0, 0)


@pytest.mark.parametrize(("x", "step"), [(-5.0, 0), (0.9, 10), (1.6, 20), (99.0, 20)])
def test_a_click_finds_the_nearest_row(x: float, step: int) -> None:
    assert track([0, 10, 20]).nearest(x) == step
