"""Pairs of layers: their names lead back to the layers, and their numbers to a symmetric matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.layer_pairs import layers_of, pair_name, pairs_of, square

NAMES = st.lists(st.text("ab.| 1", max_size=6), max_size=7).map(tuple)


@given(NAMES)
def test_the_layers_are_found_again_whatever_they_are_called(layers):
    assert layers_of(pairs_of(layers)) == layers


def test_pairs_are_the_upper_triangle_row_by_row():
    assert pairs_of("xyz") == ("x | x", "x | y", "x | z", "y | y", "y | z", "z | z")


@pytest.mark.parametrize("items", [("fc1", "fc2"), ("fc1",), ("a | a", "b | b", "a | b"), ("a | b",)])
def test_other_items_are_no_pairs(items):
    assert layers_of(items) == ()


@given(st.integers(0, 7))
def test_the_matrix_is_symmetric_and_holds_each_pair(n):
    layers = tuple(f"layer{k}" for k in range(n))
    pairs = pairs_of(layers)
    matrix = square(np.arange(2.0 * len(pairs)).reshape(2, -1))
    assert matrix.shape == (2, n, n)
    np.testing.assert_array_equal(matrix, matrix.transpose(0, 2, 1))
    for i, a in enumerate(layers):
        for j in range(i, n):
            assert matrix[1, i, j] == len(pairs) + pairs.index(pair_name(a, layers[j]))


def test_a_number_of_values_that_no_layers_have():
    with pytest.raises(ValueError, match=r"expected n \(n \+ 1\) / 2 values, got 4"):
        square(np.zeros(4))
