"""The participation ratio: closed forms, numpy's covariance, and where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.effective_dimension import effective_dimension


@pytest.mark.parametrize(("samples", "units"), [(50, 10), (10, 50), (20, 20), (2, 3), (300, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy(samples, units, dtype):
    x = (np.random.default_rng(0).standard_normal((samples, units)) * np.arange(1, units + 1) + 5).astype(dtype)
    s = np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False))
    assert effective_dimension(x) == pytest.approx(np.trace(s) ** 2 / np.trace(s @ s), rel=1e-6)


@pytest.mark.parametrize("directions", [1, 2, 5])
def test_as_many_as_there_are_equal_directions(directions):
    corners = np.vstack([np.eye(directions), -np.eye(directions)])
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0][:directions]
    assert effective_dimension(corners @ turn + 3) == pytest.approx(directions)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.integers(1, 8), st.integers(2, 12))
def test_neither_rotation_nor_scale_nor_offset_makes_a_difference_and_it_has_bounds(seed, scale, units, samples):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, units))
    turn = np.linalg.qr(rng.standard_normal((units, units)))[0]
    found = effective_dimension(x)
    assert effective_dimension(scale * (x @ turn) - 7) == pytest.approx(found, rel=1e-6)
    assert 1 - 1e-9 <= found <= min(units, samples - 1) + 1e-9


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_neither_small_nor_large_numbers_vanish_or_overflow(factor):
    x = np.random.default_rng(0).standard_normal((9, 4))
    assert effective_dimension(x * factor) == pytest.approx(effective_dimension(x), rel=1e-9)


@pytest.mark.parametrize(
    ("samples", "units", "value"), [(1, 4, 1), (9, 4, 0), (9, 4, 0.1), (0, 4, 1), (9, 0, 1), (9, 4, np.inf)]
)
def test_undefined_where_nothing_varies_or_is_finite(samples, units, value):
    assert np.isnan(effective_dimension(np.full((samples, units), value)))


def test_dead_units_make_no_difference():
    x = np.random.default_rng(0).standard_normal((9, 4))
    assert effective_dimension(np.hstack([x, np.full((9, 30), 0.1)])) == pytest.approx(effective_dimension(x))
