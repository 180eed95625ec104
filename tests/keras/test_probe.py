"""What the layers answer to the probe batch is what Keras itself computes, and nothing moves meanwhile."""

from __future__ import annotations

import random

import keras
import numpy as np
import tensorflow as tf

from recorder import Probe, each_epoch, open_run, record
from recorder.adapters.keras.probe_pass import ProbePass
from recorder.analysis.augmentations import augment
from recorder.charting.kept_inputs import inputs, probe_facts, thumbnail
from recorder.instruments import ActivationStatistics
from tests.keras.nets import classifier, patches, weights


def test_activations_are_those_of_keras_with_units_first():
    model, (x, y) = classifier(), patches(5)
    probe = ProbePass(model, (x, y))
    found = probe.run().activations
    assert list(found) == ["conv", "norm", "hidden", "out"]
    assert [(f.name, f.kind, f.shape) for f in probe.layers(found)] == [
        ("conv", "Conv2D", (4, 4, 4)), ("norm", "BatchNormalization", (4, 4, 4)), ("hidden", "Tanh", (5,)),
        ("out", "Dense", (3,)),
    ]  # fmt: skip
    outputs = keras.Model(model.inputs, [model.get_layer(name).output for name in found])(x, training=False)
    for name, output in zip(found, outputs, strict=True):
        expected = output.numpy() if output.ndim == 2 else np.moveaxis(output.numpy(), -1, 1)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)


def draws(size):
    """From every generator that there is."""
    ours, theirs = keras.random.normal((size,)), tf.random.normal((size,))
    return ours, theirs, random.random(), np.random.rand()  # noqa: NPY002


class Noisy(keras.layers.Layer):
    """Draws and counts in every call, whatever the mode."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.inner = keras.layers.Dense(3, name="inner")
        self.inner.build(shape)

    @tf.function
    def call(self, x):
        self.seen.assign_add(1.0)
        return self.inner(x + sum(draws(3)))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="outer")
        self.noisy, self.last = Noisy(name="noisy"), keras.layers.Dense(3, name="last")

    def call(self, x, training=False):
        assert not training
        return self.last(self.last(self.noisy(x)))


def test_layers_inside_layers_shared_ones_and_nothing_moves():
    model = Subclassed()
    x = tf.ones((4, 3))
    model(x)
    before = weights(model)
    probe = ProbePass(model, x)
    keras.utils.set_random_seed(7)
    expected = draws(2)
    keras.utils.set_random_seed(7)
    found = probe.run().activations
    assert list(found) == ["noisy/inner", "last", "last:2"]
    assert weights(model) == before
    for mine, theirs in zip(draws(2), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not tf.config.functions_run_eagerly()
    assert all("call" not in vars(layer) for layer in (model.noisy, model.noisy.inner, model.last))


def test_what_a_layer_calls_at_each_position_is_probed_only_where_it_is_asked_for():
    layers = [keras.layers.GRU(2, return_sequences=True, name="gru"),
              keras.layers.TimeDistributed(keras.layers.Dense(2, name="inner"), name="each")]  # fmt: skip
    model, x = keras.Sequential([keras.Input((3, 2)), *layers]), np.ones((4, 3, 2), np.float32)
    probe = ProbePass(model, x)
    assert list(probe.run().activations) == ["gru", "each"]
    assert not probe.notes
    assert list(ProbePass(model, x, ["gru/*"]).run().activations)[:2] == ["gru/gru_cell", "gru/gru_cell:2"]


def test_layers_are_chosen_by_name_glob_or_class():
    model, (x, _) = classifier(), patches(3)
    assert list(ProbePass(model, x, ["conv", "h*"]).run().activations) == ["conv", "hidden"]
    assert list(ProbePass(model, x, [keras.layers.Dense]).run().activations) == ["hidden", "out"]


def test_a_dict_of_inputs():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(1, name="sum")(keras.layers.Add(name="add")([a, b])))
    probe = ProbePass(model, ({"a": np.ones((3, 2), "f4"), "b": np.full((3, 2), 2, "f4")}, np.zeros(3)))
    np.testing.assert_array_equal(probe.run().activations["add"], np.full((3, 2), 3))
    assert probe.samples == 3


def images(count=6, side=10):
    return np.random.default_rng(0).random((count, side, side, 3)).astype(np.float32)


def network(side=10):
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((side, side, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(),
        keras.layers.Flatten(), keras.layers.Dropout(0.3), keras.layers.Dense(3, name="out"),
    ]  # fmt: skip
    model = keras.Sequential(layers)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    return model


def test_several_probes_and_augmentations_disturb_nothing_and_are_kept(tmp_path):
    x, y = images(24), np.arange(24) % 3
    alone, watched = network(), network()
    fit = {"batch_size": 8, "epochs": 2, "verbose": 0}
    keras.utils.set_random_seed(2)
    alone.fit(x, y, **fit)
    keras.utils.set_random_seed(2)
    probes = {
        "photos": Probe((x[:5], keras.utils.to_categorical(y[:5], 3)), classes="abc", mean=[0.5, 0.4, 0.3], std=0.2),
        "bright": Probe(x[5:8] * 2),
    }
    names = ["light", "activation_statistics@bright", each_epoch(ActivationStatistics(probe="augmentations"))]
    with record(watched, tmp_path / "run.h5", probe=probes, instruments=names, progress=False, strict=True) as run:
        watched.fit(x, y, callbacks=[run.callback()], **fit)
    assert weights(watched) == weights(alone)
    run = open_run(tmp_path / "run.h5")
    photos = probe_facts(run, "photos")
    assert (photos.labels, photos.classes, photos.outputs) == ((0, 1, 2, 0, 1), ("a", "b", "c"), {"": (3,)})
    assert photos.picture.channels_first is False
    np.testing.assert_array_equal(inputs(run, "bright")[""], x[5:8] * 2)
    shown = np.clip(x[2] * 0.2 + np.array([0.5, 0.4, 0.3]), 0, 1)
    np.testing.assert_allclose(thumbnail(run, "photos", 2), shown, atol=1e-6)
    made = probe_facts(run, "augmentations")
    assert made.samples == 303
    again = augment(x[:3], made.augmentations, made.picture)
    np.testing.assert_array_equal(inputs(run, "augmentations")[""], again)
    bright = ProbePass(watched, x[5:8] * 2).run().activations
    np.testing.assert_allclose(
        run["activation_mean@bright"].values[-1], [a.mean() for a in bright.values()], rtol=1e-5, atol=1e-6
    )


def test_the_prediction_and_inputs_by_name():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    total = keras.layers.Add(name="add")([a, b])
    model = keras.Model({"a": a, "b": b}, [total, keras.layers.Dense(1, name="out")(total)])
    given = {"b": np.ones((3, 2), "f4"), "a": np.full((3, 2), 2, "f4")}
    probe = ProbePass(model, given)
    assert list(probe.inputs) == ["a", "b"]
    np.testing.assert_array_equal(probe.inputs["a"], given["a"])
    np.testing.assert_array_equal(probe.run().outputs[""], np.full((3, 2), 3))
