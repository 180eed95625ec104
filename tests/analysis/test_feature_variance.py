"""Variance by augmentation: scipy's analysis of variance, closed forms, and where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway

from recorder.analysis.feature_variance import (
    by_transform,
    cosine_to_clean,
    distance_to_clean,
    sums_of_squares,
    within_share,
)


@pytest.mark.parametrize("images", [[0] * 10 + [1] * 10, [0, 1, 2] * 9, [7] * 2 + [3] * 15 + [5] * 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scipy_analysis_of_variance(images, dtype):
    images = np.array(images)
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((len(images), 6)) + images[:, None] * rng.standard_normal(6) + 3).astype(dtype)
    within, total = sums_of_squares(x, images)
    groups = [x[images == image].astype(np.float64) for image in np.unique(images)]
    k, n = len(groups), len(images)
    f = (total - within) / (k - 1) / (within / (n - k))
    np.testing.assert_allclose(f, f_oneway(*groups).statistic, rtol=1e-6)
    np.testing.assert_allclose(total, n * x.astype(np.float64).var(axis=0), rtol=1e-6)
    np.testing.assert_allclose(within_share(x, images), within / total, rtol=1e-12)


def test_closed_forms():
    images = np.array([0, 0, 1, 1])
    of_image, of_augmentation, of_both, dead = [0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 2], [4, 4, 4, 4]
    x = np.array([of_image, of_augmentation, of_both, dead, [0, np.nan, 0, 1]], np.float32).T
    np.testing.assert_allclose(within_share(x, images), [0, 1, 0.5, np.nan, np.nan])


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_a_share_that_no_affine_map_changes(seed, scale, offset):
    rng = np.random.default_rng(seed)
    x, images = rng.standard_normal((12, 3)), rng.integers(0, 3, 12)
    share = within_share(x, images)
    assert ((share >= 0) & (share <= 1)).all()
    np.testing.assert_allclose(within_share(-scale * x + offset, images), share, atol=1e-9)


def test_with_a_single_image_all_is_within():
    x = np.random.default_rng(0).standard_normal((30, 4))
    x[:, 1] = 0.1
    np.testing.assert_array_equal(within_share(x, np.zeros(30, int)), [1, np.nan, 1, 1])
    assert np.isnan(within_share(x[:1], np.zeros(1, int))).all()


def test_cosine_to_the_clean_image():
    x = np.array([[1, 0], [1, 1], [0, 2], [-3, 0], [0, 0], [np.inf, 0]], np.float32)
    found = cosine_to_clean(x, np.zeros(6, int))
    np.testing.assert_allclose(found, [1, np.sqrt(0.5), 0, -1, np.nan, np.nan], atol=1e-12)
    assert cosine_to_clean(x, np.array([0, 1, 2, 3, 0, 0]))[:4] == pytest.approx([1, 1, 1, 1])
    assert cosine_to_clean(np.full((2, 3), 1e-300), np.array([1, 0])) == pytest.approx([1, 1])


def test_distance_to_the_clean_image_beside_the_spread_of_all():
    x = np.array([[0, 0], [2, 0], [0, 2], [2, 2]], np.float32)  # each lies sqrt(2) from the mean
    np.testing.assert_allclose(distance_to_clean(x, np.zeros(4, int)), [0, 2, 2, 4])
    np.testing.assert_array_equal(distance_to_clean(x, np.arange(4)), 0)
    assert np.isnan(distance_to_clean(np.ones((3, 2)), np.zeros(3, int))).all()
    spoilt = np.column_stack([x, [np.nan, 0, 0, 0]])
    np.testing.assert_array_equal(distance_to_clean(spoilt, np.zeros(4, int)), distance_to_clean(x, np.zeros(4, int)))


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-1e2, 1e2))
def test_a_distance_that_no_rotation_and_no_scale_changes(seed, scale, offset):
    rng = np.random.default_rng(seed)
    x, clean = rng.standard_normal((10, 4)), rng.integers(0, 10, 10)
    turned = scale * x @ np.linalg.qr(rng.standard_normal((4, 4)))[0] + offset
    np.testing.assert_allclose(distance_to_clean(turned, clean), distance_to_clean(x, clean), rtol=1e-6, atol=1e-9)
    drawn = rng.standard_normal((4000, 4))
    pairs = distance_to_clean(drawn, rng.permutation(4000))
    assert pairs.mean() == pytest.approx(2, abs=0.2)  # of two samples that have nothing to do with each other


def test_means_by_transform_and_strength():
    values = np.array([1, 2, 4, 8, np.nan, 16.0])
    transforms = ["shift", "noise", "shift", "shift", "noise", "shift"]
    found, names, levels = by_transform(values, transforms, [0.5, 0.1, 0.5, 0.1, 0.5, 0.1])
    assert names == ("shift", "noise")
    assert levels == (0.1, 0.5)
    np.testing.assert_array_equal(found, [[12, 2.5], [2, np.nan]])
    assert by_transform(np.zeros(0), [], [])[0].shape == (0, 0)


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="expected one image for each of 3 samples, got \\(2,\\)"):
        within_share(np.ones((3, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="for each of 2 values, got 1 and 2"):
        by_transform(np.zeros(2), ["a"], [1, 2])
