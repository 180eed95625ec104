"""Representations of a Keras net: by hand from its own activations, and the same series as torch records."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from recorder import Probe, open_run, record
from tests.keras.nets import classifier, patches, recorded, weights
from tests.recording.section_a import assert_by_definition, everything


@pytest.mark.parametrize("way", ["graph", "eager"])
def test_every_number_is_what_numpy_makes_of_the_activations(tmp_path, way):
    x, y = patches(40)
    model = classifier(run_eagerly=way == "eager")
    options = {"probe": Probe(x[:24], labels=y[:24]), "instruments": everything()}
    run = recorded(model, tmp_path / "a.h5", x, y, options, epochs=2, batch_size=10)
    assert run.clock("cka").step.tolist() == [0, 4, 8]
    assert assert_by_definition(run) > 1000
    assert list(run["unit_correlation_units"].items) == ["conv", "hidden", "out"]
    assert not np.array_equal(*run["cka"]["conv | hidden"].values[:2])
    answers = run["probe_prediction"].item("probe").values[-1]
    np.testing.assert_allclose(answers, model(x[:24], training=False), rtol=1e-5, atol=1e-6)
    assert not [e for e in run.events if e.kind in ("warning", "off")]


def test_the_training_is_the_same_bit_for_bit(tmp_path):
    """Batch norm's statistics, dropout's draws, the weights: with everything that looks at probes."""
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 9, 9, 1)).astype("f4"), rng.integers(0, 3, 40)

    def trained(path=None):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([
            keras.Input((9, 9, 1)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.BatchNormalization(),
            keras.layers.Flatten(), keras.layers.Dropout(0.3), keras.layers.Dense(3, activation="softmax"),
        ])  # fmt: skip
        model.compile("adam", loss="sparse_categorical_crossentropy", jit_compile=False)
        keras.utils.set_random_seed(2)
        options = {"epochs": 2, "batch_size": 10, "verbose": 0}
        if path is None:
            model.fit(x, y, **options)
        else:
            asked = ["full", "augmentation_variance", "probe_activations"]
            with record(model, path, probe=x[:12], instruments=asked, progress=False, strict=True) as run:
                model.fit(x, y, **options, callbacks=[run.callback()])
        return weights(model)

    assert trained() == trained(tmp_path / "a.h5")
    run = open_run(tmp_path / "a.h5")
    made = run.meta["probes"]["augmentations"]["augmentations"]
    assert len(made) == 303
    assert run.series["augmentation_sample_correlation"].shape == (303, 303)
    shares = run["augmentation_variance"].item(run["augmentation_variance"].items[0]).values
    shares = shares[np.isfinite(shares)]
    assert len(shares)
    assert ((shares > 0) & (shares < 1)).all()  # augmentations move a unit, and so does another image
