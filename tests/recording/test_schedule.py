"""When things are due: by hypothesis, against the sentences of the docstrings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import RecordError
from recorder.instruments import GradientNorm
from recorder.reading import Facts
from recorder.recording.presets import chosen
from recorder.schedule import Every, Moment, Pairs, Scheduled, at_end, each_epoch, every, pairs

steps = st.integers(0, 10_000)


@given(n=st.integers(1, 500), start=st.integers(0, 50), step=steps)
def test_every_takes_start_and_each_nth_step_after_it(n, start, step):
    assert every(n, start=start).due(Moment(step)) == (step in range(start, step + 1, n))


@given(n=st.integers(2, 500), step=steps)
def test_pairs_are_two_neighbours_of_n(n, step):
    k = step // n
    assert pairs(n).due(Moment(step)) == (step in (n * k, n * k + 1))


@given(schedule=st.one_of(st.builds(Every, st.integers(1, 50)), st.builds(Pairs, st.integers(2, 50))), total=steps)
def test_the_forecast_rate_counts_the_rows(schedule, total):
    rows = sum(schedule.due(Moment(step)) for step in range(total))
    assert abs(rows - total * schedule.rates[0]) <= 2


@given(
    schedule=st.one_of(st.builds(Every, st.integers(1, 9), st.integers(0, 5)), st.builds(Pairs, st.integers(2, 9))),
    step=st.integers(0, 3000),
    thin=st.sampled_from([1, 2, 4, 8]),
)
def test_thinning_only_leaves_out(schedule, step, thin):
    if schedule.due(Moment(step), thin=2 * thin):
        assert schedule.due(Moment(step), thin=thin)


@given(n=st.integers(2, 20), k=st.integers(0, 50), thin=st.sampled_from([1, 2, 4]))
def test_thinned_pairs_stay_pairs(n, k, thin):
    due = [pairs(n).due(Moment(step), thin=thin) for step in (n * k, n * k + 1)]
    assert due[0] == due[1]


def test_each_epoch_is_due_at_the_start_and_after_each_epoch_only():
    assert each_epoch().due(Moment(0, 0, epoch_begins=True))
    assert each_epoch().due(Moment(70, 3, epoch_begins=True))
    assert not each_epoch().due(Moment(71, 3))


def test_the_end_is_due_once_and_steps_are_not_due_then():
    assert at_end().due(Moment(9, ended=True))
    assert not at_end().due(Moment(9))
    assert not every(1).due(Moment(9, ended=True))
    assert not pairs(9).due(Moment(9, ended=True))


@pytest.mark.parametrize(
    ("schedule", "axis"),
    [
        (every(1), "step"),
        (every(10), "every_10"),
        (every(10, start=1), "every_10_from_1"),
        (pairs(10), "pairs_2_of_10"),
        (each_epoch(), "each_epoch"),
        (at_end(), "at_end"),
    ],
)
def test_each_schedule_names_its_axis(schedule, axis):
    assert schedule.axis == axis


def test_schedules_wrap_instruments():
    norm = GradientNorm()
    assert every(10, norm) == Scheduled(Every(10), norm)
    assert pairs(10, norm) == Scheduled(Pairs(10), norm)
    assert each_epoch(norm) == Scheduled(each_epoch(), norm)
    assert at_end(norm) == Scheduled(at_end(), norm)


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        (every(10, "gradient_norm"), Every(10)),
        (pairs(10, "gradient_norm"), Pairs(10)),
        (each_epoch("gradient_norm"), each_epoch()),
        (at_end("gradient_norm"), at_end()),
    ],
)
def test_an_instrument_may_be_named(given, schedule):
    (found,) = chosen(given, Facts("", (), ()))
    assert found.schedule == schedule
    assert isinstance(found.instrument, GradientNorm)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("gradient_nrom", "did you mean 'gradient_norm'"),
        ("light", "'light' is a preset"),
        (7, "expected an instrument or the name of one, got 7"),
    ],
)
def test_what_is_no_instrument_is_refused(wrong, text):
    with pytest.raises(RecordError, match=text):
        chosen(every(10, wrong), Facts("", (), ()))


@pytest.mark.parametrize("wrong", [lambda: every(0), lambda: every(-3), lambda: every(2, start=-1), lambda: pairs(1)])
def test_impossible_intervals_are_refused(wrong):
    with pytest.raises(RecordError, match="must be at least"):
        wrong()


def test_a_class_or_a_schedule_in_a_schedule_is_refused():
    with pytest.raises(RecordError, match=r"pass an instance: GradientNorm\(\)"):
        every(10, GradientNorm)
    with pytest.raises(RecordError, match="already has a schedule"):
        every(10, every(5, GradientNorm()))
