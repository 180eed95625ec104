"""Which layers an instrument looks at, and what their features are."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.errors import RecordError
from recorder.feature_layers import FeatureLayers, spread, with_weights
from recorder.reading import Facts, LayerFacts, Reading, TensorFacts


class Conv2d:
    """A class by whose name layers can be chosen."""


def facts(*layers: tuple[str, str, tuple[int, ...]]) -> Facts:
    """Layers (name, kind, shape); a Linear or Conv2d has a kernel, a BatchNorm2d a scale."""
    dims = {"Linear": 2, "Conv2d": 4, "BatchNorm2d": 1}
    tensors = tuple(
        TensorFacts(f"{name}.weight", (2,) * dims[kind], "float32", name) for name, kind, _ in layers if kind in dims
    )
    return Facts("torch", tensors, tuple(LayerFacts(*one) for one in layers), 5)


BLOCK = facts(
    ("conv", "Conv2d", (4, 6, 6)), ("norm", "BatchNorm2d", (4, 6, 6)), ("relu", "ReLU", (4, 6, 6)),
    ("fc", "Linear", (3,)), ("tanh", "Tanh", (3,)),
)  # fmt: skip
DEEP = facts(*((f"{k}", "Linear" if k % 2 else "ReLU", (10,)) for k in range(40)))


def test_all_layers_are_looked_at_where_there_are_few():
    layers = FeatureLayers()
    assert layers.meet(BLOCK) == {"conv": 4, "norm": 4, "relu": 4, "fc": 3, "tanh": 3}
    assert layers.how == ", positions averaged"


def test_only_layers_with_weights_where_there_are_many():
    layers = FeatureLayers(most=4)
    assert list(layers.meet(BLOCK)) == ["conv", "fc"]
    assert layers.how == " of 2 of 5 layers, positions averaged"
    assert list(FeatureLayers(most=100, weighted=True).meet(BLOCK)) == ["conv", "fc"]


def test_of_too_many_with_weights_the_first_the_last_and_evenly_between():
    assert list(FeatureLayers(most=5).meet(DEEP)) == ["1", "11", "21", "29", "39"]


def test_positions_are_only_spoken_of_where_there_are_some():
    for layers, said in (
        (FeatureLayers("conv", "flatten"), " of 1 of 5 layers, each position a unit"),
        (FeatureLayers("fc", "flatten"), " of 1 of 5 layers"),
    ):
        layers.meet(BLOCK)
        assert layers.how == said


@pytest.mark.parametrize(("units", "count"), [(400, 40), (399, 20), (199, 19), (35, 3), (10, 1), (3, 1)])
def test_no_more_units_than_allowed_but_one_layer(units, count):
    found = FeatureLayers(units=units).meet(DEEP)
    assert len(found) == count
    assert list(found)[-1] == "39"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("conv", ["conv"]), ("*n*", ["conv", "norm", "tanh"]), (["tanh", "conv"], ["conv", "tanh"]),
        ("Conv2d", ["conv"]), ([Conv2d, "fc"], ["conv", "fc"]), (Conv2d, ["conv"]),
    ],
)  # fmt: skip
def test_layers_are_chosen_by_name_glob_or_class(wanted, found):
    assert list(FeatureLayers(wanted, most=1).meet(BLOCK)) == found


def test_what_matches_nothing_is_refused():
    with pytest.raises(RecordError, match="layers: nothing matches 'fc9'; there are conv, norm, relu, fc, tanh"):
        FeatureLayers(["conv", "fc9"]).meet(BLOCK)
    with pytest.raises(RecordError, match="spatial='max': choose from mean, flatten"):
        FeatureLayers(spatial="max")


def more(known: Facts, *layers: tuple[str, str, tuple[int, ...]]) -> Facts:
    fresh = facts(*layers)
    return Facts("torch", known.tensors + fresh.tensors, known.layers + fresh.layers, 5)


@pytest.mark.parametrize(
    ("layers", "first", "then"),
    [
        (FeatureLayers(), ["conv", "norm", "relu", "fc", "tanh"], ["head", "sigmoid"]),
        (FeatureLayers(weighted=True, most=2), ["conv", "fc"], ["head"]),
        (FeatureLayers(most=5), ["conv", "norm", "relu", "fc", "tanh"], ["head"]),
        (FeatureLayers(["c*", "*h*"]), ["conv", "tanh"], ["head"]),
    ],
)
def test_layers_that_come_later_follow_those_that_are_known(layers, first, then):
    later = more(BLOCK, ("head", "Linear", (7,)), ("sigmoid", "Sigmoid", (7,)))
    assert list(layers.meet(BLOCK)) == first
    how = layers.how
    assert list(layers.meet(BLOCK)) == first
    assert list(layers.meet(later)) == first + then
    assert list(layers.meet(later)) == first + then
    assert layers.how == how  # it is a part of a sentence that was written down


def test_another_training_begins_anew():
    layers = FeatureLayers()
    layers.meet(DEEP)
    assert list(layers.meet(BLOCK)) == ["conv", "norm", "relu", "fc", "tanh"]


def test_a_layer_with_another_shape_and_a_second_call_have_weights():
    names = {"fc", "fc (7)", "fc:2", "relu"}
    known = Facts("torch", (TensorFacts("fc.weight", (2, 2), "float32", "fc"),),
                  tuple(LayerFacts(name, "Linear", (7,)) for name in names))  # fmt: skip
    assert with_weights(known) == names - {"relu"}


def test_spread_holds_both_ends():
    for count in range(1, 30):
        for most in range(1, 30):
            found = spread(count, most)
            assert len(set(found)) == len(found) == min(count, most)
            assert found == sorted(found)
            assert found[-1] == count - 1
            assert most == 1 or found[0] == 0


def test_features_of_one_reading_are_made_once():
    x = np.ones((5, 4, 6, 6), "f4")
    one, other = FeatureLayers(), FeatureLayers("conv")
    one.meet(BLOCK), other.meet(BLOCK)
    reading = Reading(0, 0, 0.0, activations={"conv": x})
    assert list(one.features(reading)) == ["conv"]
    assert one.features(reading)["conv"] is other.features(reading)["conv"]
    flat = FeatureLayers("conv", "flatten")
    flat.meet(BLOCK)
    assert flat.features(reading)["conv"].shape == (5, 144)


def test_each_probe_has_its_own_features():
    seen = Reading(0, 0, 0.0, activations={"conv": np.ones((5, 4))}, probes={"noise": {"conv": np.zeros((5, 4))}})
    layers = FeatureLayers("conv")
    layers.meet(BLOCK)
    assert layers.features(seen)["conv"].all()
    assert not layers.features(seen.seen_by("noise"))["conv"].any()
    assert layers.features(seen)["conv"].all()
