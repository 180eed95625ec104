"""Pairs of layers: their names, their order, and the way back, whatever a layer is called."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recorder.layer_pairs import halves, layers_of, pair, pairs, square

NAMES = st.lists(st.text(" |ab.", min_size=1, max_size=5), max_size=6, unique=True)


def test_pairs_come_by_their_second_layer():
    assert pairs(["a", "b", "c"]) == ("a | a", "a | b", "b | b", "a | c", "b | c", "c | c")


@given(NAMES)
def test_a_layer_that_comes_later_moves_no_pair(layers):
    for k in range(len(layers)):
        assert pairs(layers)[: k * (k + 1) // 2] == pairs(layers[:k])


@given(st.lists(st.text("ab.:() ", min_size=1, max_size=5), max_size=6, unique=True))
def test_layers_and_pairs_are_told_from_the_items(layers):
    items = pairs(layers)
    assert layers_of(items) == tuple(layers)
    assert halves(items) == {pair(a, b): (a, b) for k, b in enumerate(layers) for a in layers[: k + 1]}
    assert tuple(halves(items)) == items


def test_items_that_are_no_pairs_have_no_layers():
    assert layers_of(["fc1", "fc2", "fc1 | fc2", " | ", ""]) == ()
    assert halves(["fc1.weight"]) == {}


def test_a_bar_in_a_name_is_no_separator():
    layers = ["x", "x | y", "y"]
    assert layers_of(pairs(layers)) == tuple(layers)
    assert halves(["x | y | x | y"]) == {"x | y | x | y": ("x | y", "x | y")}


def test_values_as_a_square():
    items = pairs(["a", "b", "c"])
    np.testing.assert_array_equal(square(items, np.arange(6.0)), [[0, 1, 3], [1, 2, 4], [3, 4, 5]])
    np.testing.assert_array_equal(square(["a | a", "b | b"], np.array([1.0, 2])), [[1, np.nan], [np.nan, 2]])


def test_the_module_does_not_hide_the_schedule_of_the_same_name():
    import recorder

    assert callable(recorder.pairs)
