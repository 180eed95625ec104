"""The signed logarithmic axis keeps every count, and positions and values are each other's inverse."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.chart import Scale
from recorder.charting.signed_log import NEGLIGIBLE, binned, value_at

POSITIVE = 2.0 ** (np.arange(-80, 21) / 2)
EDGES = np.concatenate([-POSITIVE[::-1], POSITIVE])


@given(arrays(np.uint32, (3, len(EDGES) - 1), elements=st.integers(0, 1000), fill=st.just(0)))
def test_no_count_is_lost_and_cells_keep_their_order(counts: np.ndarray) -> None:
    b = binned(counts, EDGES)
    np.testing.assert_array_equal(b.counts.sum(axis=1), counts.sum(axis=1))
    assert (np.diff(b.edges) > 0).all()
    assert len(b.edges) == b.counts.shape[1] + 1
    assert (b.scale.limits[0], b.scale.limits[1]) == (b.edges[0], b.edges[-1])


@given(st.integers(0, len(EDGES) - 2), st.integers(0, len(EDGES) - 2))
def test_positions_come_back_as_the_edges_they_stand_for(a: int, b: int) -> None:
    counts = np.zeros((1, len(EDGES) - 1))
    counts[0, [a, b]] = 1
    shown = binned(counts, EDGES)
    values = value_at(shown.scale, shown.edges)
    nearest = EDGES[np.abs(EDGES[None] - values[:, None]).argmin(axis=1)]
    np.testing.assert_allclose(values, nearest, rtol=1e-9)


def test_each_named_tick_stands_at_the_value_it_names() -> None:
    counts = np.zeros((1, len(EDGES) - 1))
    counts[0, [10, 60, 140, 190]] = 1
    scale = binned(counts, EDGES).scale
    named = [(k, name) for k, name in enumerate(scale.names) if name]
    assert len(named) >= 3
    for k, name in named:
        np.testing.assert_allclose(value_at(scale, k), float(name), rtol=1e-9, atol=0)


def test_the_cell_around_zero_swallows_only_what_is_negligible() -> None:
    rng = np.random.default_rng(0)
    counts = np.stack([np.histogram(rng.standard_normal(10_000) * s, EDGES)[0] for s in (1e-3, 1e-1)])
    b = binned(counts, EDGES)
    centre = np.flatnonzero((value_at(b.scale, b.edges[:-1]) < 0) & (value_at(b.scale, b.edges[1:]) > 0))
    assert len(centre) == 1
    assert (b.counts[:, centre[0]] <= NEGLIGIBLE * counts.sum(axis=1)).all()
    assert b.counts.shape[1] < 80
    assert "nearer to it" in b.note


def test_even_bins_keep_a_plain_axis() -> None:
    b = binned(np.array([[0, 3, 0, 2, 0]]), np.arange(6.0))
    np.testing.assert_array_equal(b.edges, [1, 2, 3, 4])
    np.testing.assert_array_equal(b.counts, [[3, 0, 2]])
    assert b.scale.signed_log is None
    assert value_at(Scale(), 3.0) == 3.0


def test_all_zero_gradients_are_one_cell_around_zero() -> None:
    counts = np.zeros((2, len(EDGES) - 1))
    counts[:, 100] = 7
    b = binned(counts, EDGES)
    np.testing.assert_array_equal(b.counts, [[7], [7]])
    low, high = value_at(b.scale, b.edges)
    assert low < 0 < high
