"""Histograms: counts always sum to the size, and each entry is in the bin whose edges enclose it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis.histogram import COLUMNS, EDGES
from recorder.instruments import ActivationHistogram, GradientHistogram, UpdateHistogram, WeightHistogram
from tests.instruments.readings import FACTS, reading

BOTH = [(WeightHistogram, "weights"), (GradientHistogram, "gradients")]
numbers = arrays(np.float32, (2, 3), elements=st.floats(width=32))


@pytest.mark.parametrize(("instrument", "quantity"), BOTH)
@given(tensor=numbers)
def test_counts_sum_to_the_tensors_size(instrument, quantity, tensor):
    (row,) = instrument().measure(reading(**{quantity: {"w": tensor, "b": tensor[0]}})).values()
    assert row.shape == (2, COLUMNS)
    assert row.sum(axis=1).tolist() == [6, 3]


@pytest.mark.parametrize(("instrument", "quantity"), BOTH)
def test_entries_lie_between_the_declared_edges(instrument, quantity):
    (series,) = instrument().declare(FACTS)
    entries = np.array([[0.3, -0.3, 1e-20], [5.0, 1e9, np.nan]])
    (row,) = instrument().measure(reading(**{quantity: {"w": entries}})).values()
    edges = np.array(series.edges)
    assert len(edges) == len(EDGES) == series.shape[0] - 2
    for x in (0.3, -0.3, 1e-20, 5.0):
        (column,) = [k for k in range(len(edges) - 1) if edges[k] < x < edges[k + 1]]
        assert row[0, column + 1] == 1  # column 0 is the underflow
    assert row[0, -2] == 1  # overflow
    assert row[0, -1] == 1  # NaN
    assert row[1].sum() == 0  # no such tensor in this step


def test_updates_are_counted_where_the_weights_before_are_known():
    weights, before = (
        {"w": np.array([[1.0, 2.0, 3.0], [0.0, 0.0, -5.0]])},
        {"w": np.array([[1.0, 0.0, 3.0], [0, 2, 0]])},
    )
    row = UpdateHistogram().measure(reading(weights=weights, before=before))["update_histogram"]
    assert row.sum(axis=1).tolist() == [6, 0]
    assert sorted(row[0][row[0] > 0].tolist()) == [1, 1, 1, 3]
    assert not UpdateHistogram().measure(reading(weights=weights))["update_histogram"].any()


def test_activations_are_counted_over_samples_and_positions():
    activations = {layer.name: np.zeros((5, *layer.shape)) for layer in FACTS.layers}
    activations["conv"][:, 0] = 1.0
    row = ActivationHistogram().measure(reading(activations=activations))["activation_histogram"]
    assert {name: counts.sum() for name, counts in row.items()} == {"relu": 15, "conv": 160, "tanh": 10}
    assert sorted(row["conv"][row["conv"] > 0].tolist()) == [80, 80]
