"""CKA: 1 under rotation and scale, 0 of what is independent, and a brute force from the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.cka import cka as cka_of_grams
from recorder.analysis.cka import gram, minibatch_cka, u_centred, unit_gram


def cka(layers):
    """Of layers given as their features (sample, unit)."""
    return cka_of_grams([unit_gram(x) for x in layers])


def biased_cka(x, y):
    """The plain estimate: the cosine of Gram matrices of centred features."""
    k, l = (gram(one).ravel() for one in (x, y))  # noqa: E741
    return k @ l / np.sqrt((k @ k) * (l @ l))


def brute_force(x, y):
    """HSIC_1 as it is defined, in float64."""
    n = len(x)
    k, l = (one.astype(np.float64) @ one.astype(np.float64).T for one in (x, y))  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    ones = np.ones(n)
    return (
        np.trace(k @ l)
        + (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ k @ l @ ones)
    ) / (n * (n - 3))


def brute_force_cka(x, y):
    return brute_force(x, y) / np.sqrt(brute_force(x, x) * brute_force(y, y))


def rotation(rng, size):
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


@pytest.mark.parametrize(("samples", "widths"), [(4, (3, 9)), (20, (5, 7, 1)), (64, (200, 300))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_brute_force(samples, widths, dtype):
    rng = np.random.default_rng(0)
    common = rng.standard_normal((samples, 3))
    layers = [(rng.standard_normal((samples, d)) + common @ rng.standard_normal((3, d))).astype(dtype) for d in widths]
    found = cka(layers)
    for i, x in enumerate(layers):
        for j, y in enumerate(layers):
            assert found[i, j] == pytest.approx(brute_force_cka(x, y), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.integers(1, 12))
def test_neither_rotation_nor_scale_nor_offset_makes_a_difference(seed, scale, width):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((10, width)), rng.standard_normal((10, 4))
    turned = scale * (x @ rotation(rng, width) + rng.standard_normal(width))
    found = cka([x, turned, y])
    assert found[0, 1] == pytest.approx(1, abs=1e-9)
    assert found[0, 2] == pytest.approx(found[1, 2], abs=1e-9)
    np.testing.assert_allclose(found, found.T, atol=1e-15)
    np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-12)


def test_independent_features_read_0_where_the_biased_estimate_does_not():
    debiased, biased = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        layers = [rng.standard_normal((64, 200)), rng.standard_normal((64, 300))]
        debiased.append(cka(layers)[0, 1])
        biased.append(biased_cka(*layers))
    assert np.std(debiased) < 0.05  # of one draw; over draws they average to 0
    assert abs(np.mean(debiased)) < 0.01
    assert np.mean(biased) == pytest.approx(0.79, abs=0.01)


def test_it_is_the_cosine_of_the_u_centred_grams():
    k = u_centred(np.stack([gram(np.random.default_rng(d).standard_normal((9, d))) for d in (3, 30)]))
    np.testing.assert_allclose(k.sum(axis=-1), 0, atol=1e-12)
    np.testing.assert_array_equal(np.diagonal(k, axis1=-2, axis2=-1), 0)
    np.testing.assert_allclose(u_centred(k), k, atol=1e-12)  # so a centred one may be stored instead


def test_a_mean_a_thousand_times_the_spread_costs_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 50)), rng.standard_normal((30, 40))
    exact = cka([x, y])[0, 1]
    assert cka([(x + 1000).astype(np.float32), y])[0, 1] == pytest.approx(exact, abs=1e-4)
    assert cka([x + 1000, y])[0, 1] == pytest.approx(exact, abs=1e-9)


def test_over_minibatches_hsic_is_averaged_before_the_division():
    rng = np.random.default_rng(0)
    batches = [[rng.standard_normal((n, 5)), rng.standard_normal((n, 8))] for n in (6, 6, 9)]
    xy, xx, yy = (np.mean([brute_force(b[i], b[j]) for b in batches]) for i, j in ((0, 1), (0, 0), (1, 1)))
    assert minibatch_cka(batches)[0, 1] == pytest.approx(xy / np.sqrt(xx * yy), abs=1e-12)
    np.testing.assert_allclose(minibatch_cka(batches[:1]), cka(batches[0]), atol=1e-15)
    assert np.isnan(minibatch_cka([[x[:3] for x in batches[0]]])).all()
    with pytest.raises(ValueError, match="expected at least one batch"):
        minibatch_cka([])


def test_of_grams_that_were_stored_in_float32():
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal((12, d)) for d in (5, 6, 7)]
    grams = [unit_gram(x) for x in layers]
    np.testing.assert_allclose([np.linalg.norm(k) for k in grams], 1, atol=1e-12)
    np.testing.assert_allclose(cka_of_grams([k.astype(np.float32) for k in grams]), cka(layers), atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_undefined_with_fewer_than_four_samples(samples):
    x = np.random.default_rng(0).standard_normal((samples, 5))
    assert np.isnan(cka([x, x + 1])).all()


@pytest.mark.parametrize("bad", [np.full((9, 3), 0.1), np.zeros((9, 3)), np.full((9, 3), np.nan), np.ones((9, 0))])
def test_a_layer_that_says_nothing_has_no_cka_and_spoils_no_other(bad):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 4)), rng.standard_normal((9, 2))
    found = cka([x, bad, y])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(found[np.ix_([0, 2], [0, 2])], cka([x, y]), atol=1e-15)


def test_dead_units_make_no_difference():
    x = np.random.default_rng(0).standard_normal((9, 4))
    y = np.random.default_rng(1).standard_normal((9, 4))
    dead = np.hstack([x, np.full((9, 3), 0.1)])
    np.testing.assert_allclose(cka([dead, y]), cka([x, y]), atol=1e-12)


def test_wide_features_are_taken_in_parts(monkeypatch):
    x = np.random.default_rng(0).standard_normal((10, 50)).astype(np.float32)
    whole = gram(x)
    monkeypatch.setattr("recorder.analysis.cka.CHUNK", 70)
    np.testing.assert_allclose(gram(x), whole, rtol=1e-12)
