"""Norms and the update ratio on vectors whose lengths are known."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.instruments import GradientNorm, UpdateRatio, WeightNorm
from tests.instruments.readings import reading


@pytest.mark.parametrize(
    ("instrument", "quantity", "name"), [(GradientNorm, "gradients", "gradient"), (WeightNorm, "weights", "weight")]
)
def test_norm_and_count(instrument, quantity, name):
    tensors = {"w": np.array([[3.0, 0, 0], [4, 0, 0]]), "b": np.array([np.nan, np.inf, 1])}
    row = instrument().measure(reading(**{quantity: tensors}))
    assert row[f"{name}_norm"][0] == 5.0
    assert not np.isfinite(row[f"{name}_norm"][1])
    assert row[f"{name}_nonfinite"].tolist() == [0, 2]


@pytest.mark.parametrize(("instrument", "name"), [(GradientNorm, "gradient"), (WeightNorm, "weight")])
def test_a_tensor_that_was_not_updated_is_nan_and_counts_nothing(instrument, name):
    row = instrument().measure(reading())
    assert np.isnan(row[f"{name}_norm"]).all()
    assert row[f"{name}_nonfinite"].tolist() == [0, 0]


def ratio(**tensors):
    return UpdateRatio().measure(reading(**tensors))["update_ratio"]


def test_a_step_of_a_tenth_of_the_weights_is_a_tenth():
    before = {"w": np.ones((2, 3)), "b": np.array([3.0, 4.0, 0.0])}
    weights = {name: 0.9 * x for name, x in before.items()}
    np.testing.assert_allclose(ratio(weights=weights, before=before), [0.1, 0.1])


def test_it_does_not_depend_on_the_scale():
    rng = np.random.default_rng(0)
    before = {"w": rng.normal(size=(2, 3)), "b": rng.normal(size=3)}
    weights = {name: x + 0.01 * rng.normal(size=x.shape) for name, x in before.items()}
    scaled = [{name: 1000 * x for name, x in tensors.items()} for tensors in (weights, before)]
    np.testing.assert_allclose(ratio(weights=weights, before=before), ratio(weights=scaled[0], before=scaled[1]))


def test_it_is_undefined_without_a_step_before_and_from_zero():
    weights = {"w": np.ones((2, 3)), "b": np.ones(3)}
    assert np.isnan(ratio(weights=weights)).all()
    from_zero = ratio(weights=weights, before={"w": np.ones((2, 3)), "b": np.zeros(3)})
    assert from_zero[0] == 0
    assert np.isnan(from_zero[1])
