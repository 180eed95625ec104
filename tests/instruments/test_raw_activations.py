"""Raw activations: what the layers answered, exact, below the size that was allowed."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.errors import RecordError
from recorder.instruments import RawActivations
from recorder.reading import Finished
from tests.instruments.readings import FACTS, reading

ANSWERS = {layer.name: np.random.default_rng(0).normal(size=(5, *layer.shape)) for layer in FACTS.layers}


def test_chosen_layers_are_passed_on_as_they_are():
    raw = RawActivations(["re*", "Conv2d"])
    (series,) = raw.declare(FACTS)
    assert series.items == ("relu", "conv")
    assert series.ragged == ((5, 3), (5, 2, 4, 4))
    (row,) = raw.measure(reading(activations=ANSWERS)).values()
    assert list(row) == ["relu", "conv"]
    np.testing.assert_array_equal(row["conv"], ANSWERS["conv"])


def test_at_its_size_it_finishes():
    raw = RawActivations("tanh", max_size=2 * ANSWERS["tanh"].nbytes)
    raw.declare(FACTS)
    raw.measure(reading(activations=ANSWERS))
    raw.measure(reading(activations=ANSWERS))
    with pytest.raises(Finished, match="max_size"):
        raw.measure(reading(activations=ANSWERS))


def test_no_such_layer():
    with pytest.raises(RecordError, match="layers: nothing matches 'x'; there are relu, conv, tanh"):
        RawActivations("x").declare(FACTS)
