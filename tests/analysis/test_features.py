"""Features: positions averaged or side by side; which units say anything; which are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis.features import centred, dead_units, features, kept_units


def test_positions_are_averaged_or_stand_side_by_side():
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(features(x), x.astype(np.float64).mean(axis=(2, 3)), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(features(x, "flatten"), x.reshape(3, 120))
    np.testing.assert_array_equal(features(x[:, :, 0, 0], "mean"), features(x[:, :, :1, 0], "mean"))


@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [("float16", "float32"), ("bool", "float32"), ("float32", "float32"), ("float64", "float64"), ("int64", "float64")],
)
@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 3, 2), (0, 3), (6, 0), (1, 3, 2, 2)])
def test_any_shape_and_dtype(shape, given_dtype, expected):
    for spatial in ("mean", "flatten"):
        x = features(np.ones(shape, given_dtype), spatial)
        assert x.dtype == expected
        assert x.ndim == 2
        assert len(x) == shape[0]


def test_many_float16_neither_overflow_nor_stall():
    assert features(np.full((1, 1, 300, 300), 60_000, np.float16)).tolist() == [[60_000]]


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"expected an activation \(sample, unit, ...\).*shape \(\)"):
        features(np.float32(1) * np.ones(()))
    with pytest.raises(ValueError, match=r"'mean' or 'flatten', got the shape .* and 'max'"):
        features(np.ones((2, 3)), "max")


def test_a_unit_is_dead_within_a_rounding():
    one = np.float32(1)
    columns = {
        (5, 5, 5): True,
        (0, 0, 0): True,
        (one, np.nextafter(one, 2, dtype=np.float32), one): True,  # neighbours in float32
        (one, one + 3e-7, one): False,
        (0, 0, 1e-45): False,  # small is not equal
        (-1, 1, 0): False,
        (np.nan, 0, 0): False,
        (np.inf, np.inf, np.inf): False,
    }
    assert dead_units(np.array(list(columns), np.float32).T).tolist() == list(columns.values())
    assert dead_units(np.array([[5e-324], [0]])).tolist() == [True]  # no 1 / x is a number


def test_centred_units_have_no_mean_and_dead_ones_no_rounding():
    x = np.random.default_rng(0).standard_normal((10, 4)) + 1e6
    x[:, 2] = 0.1 + np.array([0, 1e-17] * 5)
    wide = centred(x)
    np.testing.assert_allclose(wide.mean(axis=0), 0, atol=1e-9)
    assert not wide[:, 2].any()
    assert centred(x[:0]).shape == (0, 4)
    assert not centred(x[:1]).any()


@given(arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 9))), st.integers(1, 10))
def test_the_units_of_largest_variance_are_kept_in_order(x, most):
    kept = kept_units(x, most)
    assert kept.dtype == np.int32
    assert len(kept) == min(most, x.shape[1])
    assert (np.diff(kept) > 0).all()
    with np.errstate(all="ignore"):
        variance = np.nan_to_num(x.astype(np.float64).var(axis=0) if len(x) else np.zeros(x.shape[1]), nan=-1)
    variance[~np.isfinite(x).all(axis=0)] = -1
    others = np.setdiff1d(np.arange(x.shape[1]), kept)
    assert not len(others) or not len(kept) or variance[kept].min() >= variance[others].max()


def test_of_equal_units_the_first_are_kept_and_what_is_not_finite_last():
    x = np.array([[0, 0, 0, np.nan, 0], [1, 1, 2, 9, 0]], np.float32)
    assert kept_units(x, 2).tolist() == [0, 2]
    assert kept_units(x, 4).tolist() == [0, 1, 2, 4]
