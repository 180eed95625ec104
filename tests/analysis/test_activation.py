"""Activation statistics against closed forms and numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis.activation import activation_statistics


def test_closed_form():
    found = activation_statistics(np.array([[0.0, 2.0], [0.0, 4.0]]))
    assert (found.mean, found.zero, found.dead, found.nonfinite) == (1.5, 2, 1, 0)
    assert found.std == pytest.approx(np.std([0, 2, 0, 4], ddof=1))
    assert (found.numbers, found.units, found.saturated) == (4, 2, None)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 3)),
        elements=st.floats(-100, 100, width=32),
    )
)
def test_equals_numpy(x):
    found = activation_statistics(x)
    wide = x.astype(np.float64)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-6, abs=1e-9)
    assert found.std == pytest.approx(wide.std(ddof=1), rel=1e-6, abs=1e-9)
    assert found.zero == (x == 0).sum()
    assert found.dead == sum(len(set(x[:, unit].ravel().tolist())) == 1 for unit in range(x.shape[1]))


def test_a_unit_is_dead_only_if_it_never_moves_at_any_position():
    x = np.zeros((4, 3, 2, 2))
    x[:, 1] = 7.0  # a constant that is not zero is dead too
    x[2, 2, 1, 1] = 1e-30
    assert activation_statistics(x).dead == 2


@pytest.mark.parametrize(
    ("kind", "values", "saturated"),
    [
        ("Sigmoid", [0.0, 0.05, 0.051, 0.5, 0.949, 0.95, 1.0], 4),
        ("Tanh", [-1.0, -0.9, -0.89, 0.0, 0.89, 0.9, 1.0], 4),
        ("ReLU", [0.0, 1.0], None),
    ],
)
def test_saturation_is_within_five_percent_of_a_bound(kind, values, saturated):
    assert activation_statistics(np.array(values)[:, None], kind).saturated == saturated


def test_constant_layer_of_one_sample():
    found = activation_statistics(np.ones((1, 3)))
    assert (found.std, found.dead, found.units) == (0.0, 3, 3)
    assert np.isnan(activation_statistics(np.ones((1, 1))).std)


def test_one_number_a_sample():
    assert activation_statistics(np.array([1.0, 2.0, 3.0])).units == 1


def test_not_finite_is_counted_and_shows():
    found = activation_statistics(np.array([[1.0, np.nan], [np.inf, 2.0]]))
    assert found.nonfinite == 2
    assert np.isnan(found.mean)
    assert found.dead == 0


def test_empty():
    found = activation_statistics(np.zeros((0, 3)))
    assert (found.numbers, found.zero, found.units) == (0, 0, 3)
    assert np.isnan(found.mean)
