"""Correlation: what no affine map changes, numpy's own, and what is defined where there is no correlation."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis import correlation, correlation_tiles
from recorder.analysis.correlation import (
    cross_correlation,
    noise_floor,
    pairs,
    sample_correlation,
    standardise,
)
from recorder.analysis.layer_pairs import pair_name, pairs_of

TOLERANCE = {"float16": 1e-5, "float32": 1e-5, "float64": 1e-6}


@pytest.fixture(params=["compiled", "numpy"])
def passes(request, monkeypatch):
    """Both passes, one after the other."""
    if request.param == "numpy":
        plain = correlation._numpy_standardise, correlation._numpy_place, correlation._numpy_mirror
        monkeypatch.setattr(correlation, "_passes", lambda: plain)
    return request.param


def layers_of(rng, samples, *widths, dtype="float32"):
    """Layers that have to do with each other, off centre, of scales from 1e-3 to 1e3."""
    common = rng.standard_normal((samples, 4))
    return [
        ((rng.standard_normal((samples, d)) + common @ rng.standard_normal((4, d))) * 10.0 ** rng.integers(-3, 4, d)
         + rng.standard_normal(d)).astype(dtype)
        for d in widths
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "dtype"), [(n, dtype) for n in (2, 3, 10, 1000) for dtype in TOLERANCE if n > 3 or dtype != "float16"]
)  # of two samples in float16 many are a rounding apart
def test_numpy_corrcoef(passes, samples, dtype):
    layers = layers_of(np.random.default_rng(0), samples, 7, 1, 300, 40, dtype=dtype)
    expected = np.corrcoef(np.hstack(layers).astype(np.float64), rowvar=False)
    found = cross_correlation(layers)
    bounds = found.standardised.bounds
    for i, j, block in found.blocks():
        assert block.dtype == ("float64" if dtype == "float64" else "float32")
        part = expected[bounds[i] : bounds[i + 1], bounds[j] : bounds[j + 1]]
        np.testing.assert_allclose(block, part, rtol=0, atol=TOLERANCE[dtype])


def test_the_order_of_pairs_is_that_of_their_items():
    names = "abcd"
    assert tuple(pair_name(names[i], names[j]) for i, j in pairs(4)) == pairs_of(names)
    found = cross_correlation(layers_of(np.random.default_rng(0), 9, 2, 3, 4))
    assert [(i, j) for i, j, _ in found.blocks()] == list(pairs(3))


@pytest.mark.parametrize("tile", [1, 5, 33])
def test_no_tile_makes_a_difference(monkeypatch, tile):
    layers = layers_of(np.random.default_rng(0), 30, 12, 1, 40, dtype="float64")
    expected = [block for *_, block in cross_correlation(layers).blocks()]
    monkeypatch.setattr(correlation_tiles, "TILE", tile)
    for (*_, block), whole in zip(cross_correlation(layers).blocks(), expected, strict=True):
        np.testing.assert_allclose(block, whole, atol=1e-12)


def test_symmetric_and_one_with_itself(passes):
    found = cross_correlation(layers_of(np.random.default_rng(1), 50, 30, 20))
    own = found.block(0, 0)
    np.testing.assert_array_equal(own, own.T)
    np.testing.assert_array_equal(np.diagonal(own), 1)
    np.testing.assert_array_equal(found.block(1, 0), found.block(0, 1).T)
    assert max(np.abs(block).max() for *_, block in found.blocks()) <= 1


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.sampled_from([-1, 1]))
def test_no_affine_map_changes_it(seed, scale, offset, sign):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 4))
    before = cross_correlation([x, y]).block(0, 1)
    after = cross_correlation([sign * scale * x + offset, y]).block(0, 1)
    np.testing.assert_allclose(after, sign * before, atol=1e-9)


def test_closed_forms(passes):
    x = np.array([[1, -1, 1, 2], [2, -2, -2, 2], [3, -3, 1, 2]], np.float32)  # rising, falling, neither, dead
    np.testing.assert_allclose(
        cross_correlation([x]).block(0, 0), [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], atol=1e-7
    )


def test_no_unit_spoils_another(passes):
    clean = layers_of(np.random.default_rng(2), 40, 10, 12)
    spoilt = [x.copy() for x in clean]
    spoilt[0][:, 3] = 7.0
    spoilt[0][5, 4] = np.nan
    spoilt[1][0, 0] = -np.inf
    spoilt[1][:, 1] = np.inf
    found, expected = cross_correlation(spoilt), cross_correlation(clean)
    s = found.standardised
    assert np.flatnonzero(s.dead).tolist() == [3]
    assert np.flatnonzero(s.nonfinite).tolist() == [4, 10, 11]
    for (i, j, block), (_, _, whole) in zip(found.blocks(), expected.blocks(), strict=True):
        alive = np.ix_(s.alive[s.layers[i]], s.alive[s.layers[j]])
        np.testing.assert_array_equal(block[alive], whole[alive])
        others = block.copy()
        others[alive] = 0
        assert not others.any()  # the others are 0, also with themselves


@pytest.mark.parametrize("samples", [0, 1])
def test_without_two_samples_every_unit_is_dead(passes, samples):
    found = cross_correlation([np.ones((samples, 3), np.float32), np.ones((samples, 2), np.float32)])
    assert found.standardised.dead.all()
    assert [block.shape for *_, block in found.blocks()] == [(3, 3), (3, 2), (2, 2)]
    assert not any(block.any() for *_, block in found.blocks())


def test_a_constant_layer_and_one_without_units(passes):
    found = cross_correlation([np.full((9, 2), 0.1), np.random.default_rng(0).standard_normal((9, 3)), np.ones((9, 0))])
    assert not found.block(0, 1).any()
    assert found.block(1, 2).shape == (3, 0)
    np.testing.assert_array_equal(np.diagonal(found.block(1, 1)), 1)


@pytest.mark.parametrize("factor", [1e-300, 1e-38, 1e38, 1e300])
def test_neither_small_nor_large_numbers_vanish_or_overflow(passes, factor):
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.testing.assert_allclose(
        cross_correlation([x * factor]).block(0, 0), np.corrcoef(x, rowvar=False), rtol=0, atol=1e-6
    )


def test_a_small_difference_beside_a_large_mean_is_seen(passes):
    x = 1000 + np.random.default_rng(0).integers(0, 9, (200, 5)).astype(np.float32) / 1024
    np.testing.assert_allclose(cross_correlation([x]).block(0, 0), np.corrcoef(x, rowvar=False), rtol=0, atol=1e-5)


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[::2, ::-3], lambda x: np.asfortranarray(x)])
def test_any_strides(passes, view):
    x = view(np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32))
    np.testing.assert_allclose(cross_correlation([x]).block(0, 0), np.corrcoef(x, rowvar=False), rtol=0, atol=1e-5)


def test_what_is_given_stays_as_it_is(passes):
    x = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    before = x.copy()
    cross_correlation([x, x])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@given(data=st.data())
def test_compiled_equals_numpy_on_any_bits(dtype, data):
    shape = st.tuples(st.integers(1, 6), st.integers(1, 5))
    bits = data.draw(shape.flatmap(lambda s: arrays(f"u{np.dtype(dtype).itemsize}", s)))
    x = bits.view(dtype)
    found = standardise([x])
    z, dead, nonfinite = np.empty_like(found.z), np.empty_like(found.dead), np.empty_like(found.dead)
    correlation._numpy_standardise(x.astype(found.z.dtype), z, 0, dead, nonfinite, float(np.finfo(dtype).eps))
    np.testing.assert_array_equal(found.dead, dead)
    np.testing.assert_array_equal(found.nonfinite, nonfinite)
    np.testing.assert_allclose(found.z, z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.square(found.z, dtype=np.float64).sum(axis=0), found.alive, atol=1e-6)


def test_samples_with_samples():
    x = layers_of(np.random.default_rng(3), 25, 60)[0]
    x[4] = 0
    x[5, 6] = np.nan
    found = sample_correlation(x)
    others = np.delete(np.arange(25), [4, 5])
    expected = np.corrcoef(x[others].astype(np.float64))
    np.testing.assert_allclose(found[np.ix_(others, others)], expected, rtol=0, atol=1e-6)
    assert not found[4].any()
    assert not found[:, 5].any()
    assert sample_correlation(x[:1]).tolist() == [[1]]
    assert sample_correlation(x[:, :1]).shape == (25, 25)  # on one unit no sample varies


def test_independent_units_read_the_noise_floor():
    for samples in (20, 256):
        x = np.random.default_rng(0).standard_normal((samples, 600))
        r = cross_correlation([x[:, :300], x[:, 300:]]).block(0, 1)
        assert np.abs(r).mean() == pytest.approx(noise_floor(samples), rel=0.02)
    assert np.isnan(noise_floor(1))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "got the shapes \\[\\]"),
        ([np.ones((3, 2)), np.ones((4, 2))], "of the same samples, got the shapes .*\\(4, 2\\)"),
        ([np.ones((3, 2, 2))], "expected features \\(sample, unit\\)"),
        ([np.ones((3, 2), complex)], "expected real numbers up to float64, got \\['complex128'\\]"),
    ],
)
def test_errors_say_what_was_expected(layers, message):
    with pytest.raises(ValueError, match=message):
        cross_correlation(layers)


def test_warm_up_leaves_nothing_to_compile():
    from recorder.analysis import compiled_correlation

    correlation.warm_up()
    before = len(compiled_correlation.standardise.signatures)
    cross_correlation(layers_of(np.random.default_rng(0), 5, 300, 2))
    cross_correlation(layers_of(np.random.default_rng(0), 5, 300, 2, dtype="float16"))
    assert len(compiled_correlation.standardise.signatures) == before


def test_without_numba_numpy_takes_over():
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "from recorder.analysis.correlation_summary import correlation_summary\n"
        "x = np.array([[0.0, 0], [1, 1], [2, 0]]); print(correlation_summary([x]).mean)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[0.5]\n"
