"""A spike is what its definition says, value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.health import Health, Monitor
from recorder.analysis.spike import Past


def by_definition(values, *, size, deviations, at_least):
    """{position: limit} of the spikes, from the formula."""
    found = {}
    for t, value in enumerate(values):
        past = np.array(values[max(0, t - size) : t])
        if len(past) < at_least or value <= past.max():
            continue
        middle = np.median(past)
        scale = max(np.median(np.abs(past - middle)), 0.01 * abs(middle))
        limit = middle + deviations * scale
        if scale > 0 and value > limit:
            found[t] = limit
    return found


@given(
    st.lists(st.one_of(st.floats(-1, 1), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0])), max_size=60),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(0, 30),
)
def test_spikes_are_those_of_the_definition(values, size, at_least, deviations):
    past = Past(size)
    said = {}
    for t, value in enumerate(values):
        limit = past.spike(value, deviations=deviations, at_least=at_least)
        if limit is not None:
            said[t] = limit
    assert said == pytest.approx(by_definition(values, size=size, deviations=deviations, at_least=at_least))


def monitored(losses, **health):
    monitor = Monitor(Health(**health))
    found = [f for t, loss in enumerate(losses) for f in monitor.scalars(t, {"loss": loss, "accuracy": loss})]
    return found, monitor


def test_a_leap_out_of_noise_is_a_spike_and_falling_noise_has_none():
    rng = np.random.default_rng(0)
    noise = np.abs(2 * np.exp(-np.arange(500) / 100) + 0.1 + 0.03 * rng.normal(size=500))
    assert monitored(noise)[0] == []
    noise[300] += 2.0
    (finding,), _ = monitored(noise)
    past = noise[200:300]
    middle = np.median(past)
    assert (finding.finding, finding.item, finding.step, finding.value) == ("loss_spike", "loss", 300, noise[300])
    assert finding.limit == pytest.approx(middle + 20 * np.median(np.abs(past - middle)))


def test_later_spikes_are_counted_and_not_said_again():
    losses = np.ones(700)
    losses[[100, 300, 500]] = 5.0
    found, monitor = monitored(losses)
    assert [f.step for f in found] == [100]
    assert monitor.again == {"loss_spike": 2}


def test_what_is_not_finite_is_no_spike_and_leaves_the_past_as_it_was():
    losses = [1.0] * 50 + [math.nan, math.inf] + [1.0] * 5 + [9.0]
    found, monitor = monitored(losses)
    assert [(f.finding, f.step) for f in found] == [("not_finite", 50), ("loss_spike", 57)]
    assert monitor.again == {"not_finite": 1}


def test_spikes_can_be_switched_off_and_an_epochs_loss_has_none():
    losses = [1.0] * 50 + [9.0]
    assert monitored(losses, spike_deviations=math.inf)[0] == []
    monitor = Monitor(Health())
    assert not [f for t, x in enumerate(losses) for f in monitor.scalars(t, {"val_loss": x}, each_step=False)]
