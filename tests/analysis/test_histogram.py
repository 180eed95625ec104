"""The histogram's laws, and the compiled pass against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis.histogram import CENTRE, COLUMNS, EDGES, MAGNITUDES, NAN, columns, counts
from recorder.analysis.statistics import counts as compiled

BITS = {np.float16: np.uint16, np.float32: np.uint32, np.float64: np.uint64}


def any_bits(dtype) -> st.SearchStrategy[np.ndarray]:
    """Arrays of every bit pattern: NaN of any payload, infinities, subnormal numbers, both zeros."""
    return arrays(BITS[dtype], st.integers(0, 300)).map(lambda bits: bits.view(dtype))


def test_edges_are_half_octaves_mirrored():
    assert len(EDGES) == 202
    assert (np.diff(EDGES) > 0).all()
    np.testing.assert_array_equal(EDGES, -EDGES[::-1])
    assert EDGES[0] == -1024
    assert EDGES[101] == 2.0**-40
    np.testing.assert_allclose(MAGNITUDES[1:] ** 2, 2 * MAGNITUDES[:-1] ** 2, rtol=1e-15)


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (-np.inf, 0), (-1024.0, 0), (np.nextafter(-1024.0, 0), 1), (-1.0, 20), (-(2.0**-40), 100),
        (np.nextafter(-(2.0**-40), 0), CENTRE), (-0.0, CENTRE), (0.0, CENTRE), (5e-324, CENTRE), (2.0**-40, 102),
        (1.0, 182), (np.nextafter(1024.0, 0), 201), (1024.0, 202), (np.inf, 202), (np.nan, NAN),
    ],
)  # fmt: skip
def test_where_a_number_falls(value, column):
    assert columns(np.array([value]))[0] == column
    assert counts(np.array([value]))[column] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_at_every_edge_and_its_neighbours(dtype):
    at = EDGES.astype(dtype)
    values = np.concatenate([at, np.nextafter(at, dtype(0)), np.nextafter(at, at * dtype(2))])
    np.testing.assert_array_equal(compiled(values), counts(values))
    for value in values:  # one by one: two errors may not cancel
        assert compiled(np.array([value])).argmax() == columns(np.array([value]))[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_compiled_counts_are_the_same_integers(dtype, data):
    values = data.draw(any_bits(dtype))
    found = compiled(values)
    np.testing.assert_array_equal(found, counts(values))
    assert found.sum() == values.size


@given(any_bits(np.float32))
def test_bfloat16_counts_as_the_float32_it_is(values):
    high = (values.view(np.uint32) >> 16).astype(np.uint16)
    np.testing.assert_array_equal(compiled(high), counts((high.astype(np.uint32) << 16).view(np.float32)))


@given(any_bits(np.float32))
def test_the_mirrored_tensor_has_the_mirrored_histogram(values):
    row, mirrored = counts(values), counts(-values)
    np.testing.assert_array_equal(mirrored[:NAN], row[:NAN][::-1])
    assert mirrored[NAN] == row[NAN]


@given(any_bits(np.float32), any_bits(np.float32))
def test_histograms_add(a, b):
    np.testing.assert_array_equal(counts(a) + counts(b), counts(np.concatenate([a, b])))


def test_a_million_equal_numbers():
    row = compiled(np.full(1_000_003, 3.0, np.float32))
    assert row[columns(np.array([3.0]))[0]] == 1_000_003
    assert row.sum() == 1_000_003
    assert len(row) == COLUMNS
