"""The five numbers of a pair of layers: brute force, whatever the tiles; what they mean on data that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.analysis import correlation_summary as module
from recorder.analysis import correlation_tiles
from recorder.analysis.correlation import cross_correlation, noise_floor, pairs
from recorder.analysis.correlation_summary import correlation_summary

NAMES = ("mean", "mean_abs", "rms", "max_abs", "q95")


@pytest.fixture(params=["compiled", "numpy"])
def passes(request, monkeypatch):
    """Both passes, one after the other."""
    if request.param == "numpy":
        monkeypatch.setattr(module, "_survey", lambda: module._numpy_survey)
    return request.param


def brute_force(layers):
    """{name: (pair,)} with numpy alone, from units that are alive."""
    alive = [x[:, np.isfinite(x).all(axis=0) & (x.min(axis=0) < x.max(axis=0))].astype(np.float64) for x in layers]
    rows = []
    for i, j in pairs(len(layers)):
        x, y = alive[i], alive[j]
        r = np.atleast_2d(np.corrcoef(x, y, rowvar=False))[: x.shape[1], x.shape[1] :]
        entries = np.abs(r[~np.eye(len(r), dtype=bool)][: r.size] if i == j else r.ravel())
        once = np.abs(r[np.triu_indices(len(r), 1)]) if i == j else entries
        if not once.size:
            rows.append((r.mean(), *[np.nan] * 4))
            continue
        rms = np.sqrt(np.mean(entries**2))
        rows.append((r.mean(), entries.mean(), rms, entries.max(), np.quantile(once, 0.95)))
    return dict(zip(NAMES, np.array(rows).T, strict=True))


@pytest.mark.parametrize("tile", [1, 7, 16, 1024])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_brute_force(passes, monkeypatch, tile, dtype):
    monkeypatch.setattr(correlation_tiles, "TILE", tile)
    rng = np.random.default_rng(0)
    common = rng.standard_normal((30, 2))
    layers = [
        (rng.standard_normal((30, d)) + common @ rng.standard_normal((2, d))).astype(dtype) for d in (9, 1, 20, 5)
    ]
    layers[0][:, 2] = 3
    layers[2][4, 19] = np.nan
    layers[3][:, 0] = 0
    found, expected = correlation_summary(layers), brute_force(layers)
    for name in NAMES:
        tolerance = 1e-12 if dtype == "float64" else 1e-6
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=0, atol=tolerance, err_msg=name)
    assert found.dead.tolist() == [1, 0, 0, 1]
    assert found.nonfinite.tolist() == [0, 0, 1, 0]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_no_tile_makes_a_difference(widths, tile, seed):
    layers = [np.random.default_rng([seed, d]).standard_normal((12, d)) for d in widths]
    usual, correlation_tiles.TILE = correlation_tiles.TILE, tile
    try:
        found = correlation_summary(layers)
    finally:
        correlation_tiles.TILE = usual
    expected = correlation_summary(layers)
    for name in NAMES:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-12, err_msg=name)


def test_the_mean_is_that_of_the_whole_matrix_with_its_diagonal(passes):
    layers = [np.random.default_rng(d).standard_normal((50, d)) for d in (30, 20)]
    found = correlation_summary(layers)
    expected = [block.mean() for *_, block in cross_correlation(layers).blocks()]
    np.testing.assert_allclose(found.mean, expected, rtol=1e-12)


def test_units_that_are_one_and_the_same(passes):
    x = np.random.default_rng(0).standard_normal((20, 1)).astype(np.float32)
    found = correlation_summary([x * [1, 2, -3], x * [5, -7]])
    for name in NAMES[1:]:
        np.testing.assert_allclose(getattr(found, name), 1, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(found.mean, [1 / 9, 0, 0], atol=1e-6)


def test_independent_layers_read_the_noise_floor(passes):
    layers = [np.random.default_rng(d).standard_normal((200, d)).astype(np.float32) for d in (300, 200)]
    found = correlation_summary(layers)
    np.testing.assert_allclose(found.mean_abs, noise_floor(200), rtol=0.02)
    np.testing.assert_allclose(found.rms, 1 / np.sqrt(199), rtol=0.02)
    np.testing.assert_allclose(found.mean, [1 / 300, 0, 1 / 200], atol=1e-3)


def test_the_order_of_units_is_of_no_importance(passes):
    rng = np.random.default_rng(4)
    layers = [rng.standard_normal((15, d)) for d in (40, 9)]
    shuffled = [x[:, rng.permutation(x.shape[1])] for x in layers]
    for name in NAMES:
        one, other = (getattr(correlation_summary(x), name) for x in (layers, shuffled))
        np.testing.assert_allclose(one, other, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    "layers",
    [
        [np.ones((1, 3)), np.ones((1, 2))],
        [np.ones((5, 3)), np.arange(10.0).reshape(5, 2)[:, :0]],
        [np.full((5, 3), np.nan), np.zeros((5, 0))],
    ],
)
def test_where_no_unit_is_alive_there_is_no_number(passes, layers):
    found = correlation_summary(layers)
    for name in NAMES:
        assert np.isnan(getattr(found, name)).all()
    assert (found.dead + found.nonfinite).tolist() == [x.shape[1] for x in layers]


def test_a_single_unit_has_a_mean_and_no_pair(passes):
    found = correlation_summary([np.arange(4.0)[:, None]])
    assert found.mean == pytest.approx(1)
    assert np.isnan([found.mean_abs, found.rms, found.max_abs, found.q95]).all()


def test_warm_up_leaves_nothing_to_compile():
    from recorder.analysis import compiled_correlation

    module.warm_up()
    before = len(compiled_correlation.survey.signatures)
    correlation_summary([np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)])
    assert len(compiled_correlation.survey.signatures) == before
