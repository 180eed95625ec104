"""Pairs of layers: their names lead back to the layers, and their numbers to a symmetric matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.layer_pairs import halves, layers_of, pair_name, pairs_of, square

NAMES = st.lists(st.text("ab.: 1", max_size=6), max_size=7, unique=True).map(tuple)


@given(NAMES)
def test_the_layers_are_found_again_whatever_they_are_called(layers):
    assert layers_of(pairs_of(layers)) == layers


def test_pairs_come_by_their_second_layer():
    assert pairs_of("xyz") == ("x | x", "x | y", "y | y", "x | z", "y | z", "z | z")


@given(NAMES)
def test_a_layer_that_comes_later_moves_no_pair(layers):
    for k in range(len(layers)):
        before = pairs_of(layers[:k])
        assert pairs_of(layers)[: len(before)] == before


def test_a_bar_in_a_name_is_no_separator():
    layers = ("x", "x | y", "y")
    assert layers_of(pairs_of(layers)) == layers


@pytest.mark.parametrize("items", [("fc1", "fc2"), ("fc1",), ("a | a", "fc1", "b | b"), ("a | b",), (" | ", "")])
def test_other_items_are_no_pairs(items):
    assert layers_of(items) == ()


@given(st.integers(0, 7))
def test_the_matrix_is_symmetric_and_holds_each_pair(n):
    layers = tuple(f"layer{k}" for k in range(n))
    pairs = pairs_of(layers)
    values = np.arange(2.0 * len(pairs)).reshape(2, -1)
    matrix = square(values)
    assert matrix.shape == (2, n, n)
    np.testing.assert_array_equal(matrix, matrix.transpose(0, 2, 1))
    np.testing.assert_array_equal(matrix, square(values, pairs))
    for i, a in enumerate(layers):
        for j in range(i, n):
            assert matrix[1, i, j] == len(pairs) + pairs.index(pair_name(a, layers[j]))


def test_two_heads_that_were_never_there_together():
    items = ("body | body", "body | head", "head | head", "body | new", "new | new")
    assert layers_of(items) == ("body", "head", "new")
    found = square(np.array([[1.0, 2, 3, 4, 5]]), items)
    np.testing.assert_array_equal(found, [[[1, 2, 4], [2, 3, np.nan], [4, np.nan, 5]]])


def test_a_number_of_values_that_no_layers_have():
    with pytest.raises(ValueError, match=r"expected n \(n \+ 1\) / 2 values, got 4"):
        square(np.zeros(4))


def test_a_pair_leads_back_to_its_layers_though_a_bar_be_in_a_name():
    layers = ["x", "x | y", "y"]
    assert halves(pairs_of(layers))["x | y | y"] == ("x | y", "y")
    assert list(halves(pairs_of("ab"))) == ["a | a", "a | b", "b | b"]
    assert halves(("fc1", "fc2")) == {}


def test_the_schedule_of_pairs_of_steps_is_not_hidden():
    import recorder

    assert callable(recorder.pairs)
