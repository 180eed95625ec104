"""What is refused, what is left behind, and what is told where nothing can be seen."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from recorder import open_run, record
from recorder.errors import RecordError
from recorder.recording.checkpoint import Checkpoints
from tests.keras.nets import classifier, linear, patches, recorded

X, Y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)


def refused(path, model, match, **options):
    with pytest.raises(RecordError, match=match), record(model, path, **options):
        pass
    assert not path.exists()


def test_mistakes_at_the_door(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    unbuilt = keras.Sequential([keras.layers.Dense(2)], name="late")
    refused(path, unbuilt, "'late' is not built, so its weights do not exist yet; begin it with keras.Input")
    bare = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="bare")
    refused(path, bare, r"'bare' has no optimizer yet; call model.compile\(...\) before record")
    refused(path, {"a": bare}, "a dict of Keras models cannot be watched, got a; make them attributes")
    model = linear("sgd")
    refused(path, model, "expected a keras.Optimizer, .* got str", optimizer="sgd")
    refused(path, model, r"probe: .* failed on \(2, 7\): .*what the model is called with", probe=np.ones((2, 7)))
    refused(
        path, model, "layers: nothing matches 'conv'; the model has dense.* give them names", probe=X, layers=["conv"]
    )
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    refused(path, model, "Keras runs on the backend 'jax'; only 'tensorflow' can be watched: set KERAS_BACKEND")


def test_another_backend_is_told_also_where_there_is_no_tensorflow(tmp_path, monkeypatch):
    model = linear("sgd")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for module in ("adapter", "tape", "probe"):
        monkeypatch.delitem(sys.modules, f"recorder.adapters.keras.{module}", raising=False)
    refused(tmp_path / "run.h5", model, "Keras runs on the backend 'torch'; only 'tensorflow' can be watched")


def test_an_optimizer_that_takes_the_place_of_the_watched_one_is_refused_by_fit(tmp_path):
    model = linear("sgd")
    with record(model, tmp_path / "run.h5", progress=False) as run:
        model.fit(X, Y, verbose=0, callbacks=[run.callback()])
        model.optimizer = keras.optimizers.Adam()
        with pytest.raises(RecordError, match=r"the optimizer of 'sequential.*' is not the one that it had at record"):
            model.fit(X, Y, verbose=0, callbacks=[run.callback()])
    assert open_run(tmp_path / "run.h5")["gradient_norm"].step.tolist() == [0]


def test_another_optimizer_or_model_in_the_block(tmp_path):
    model = linear("sgd")
    with record(model, tmp_path / "run.h5", progress=False) as run:
        with pytest.raises(RecordError, match="it records the model 'sequential"):
            linear("sgd").fit(X, Y, verbose=0, callbacks=[run.callback()])
        model.compile("adam", "mse")
        with pytest.raises(RecordError, match=r"is not the one that it had at record.*compile the model before"):
            model.fit(X, Y, verbose=0, callbacks=[run.callback()])


def test_another_optimizer_is_told_where_there_is_no_callback(tmp_path):
    model = linear("sgd")
    with (
        pytest.warns(UserWarning, match=r"is not the one that it had at record\(...\), so its updates are not") as told,
        pytest.warns(UserWarning, match="no update of the model was seen in 2 steps"),
        record(model, tmp_path / "run.h5", progress=False) as run,
    ):
        model.compile("adam", "mse", jit_compile=False)
        for _ in range(2):
            run.step(loss=model.train_on_batch(X, Y))
    assert len(told) == 1


def test_several_replicas_are_refused_and_one_is_like_none(tmp_path):
    models = []
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0"])):
        with strategy.scope():
            models.append(linear("adam"))
    runs = [recorded(m, tmp_path / f"{k}.h5", X, Y, {"instruments": "dynamics"}) for k, m in enumerate(models)]
    for name in ("loss", "learning_rate", "gradient_norm", "weight_norm"):
        np.testing.assert_array_equal(runs[0][name].values, runs[1][name].values, err_msg=name)
    models[1]._distribute_strategy = SimpleNamespace(num_replicas_in_sync=2)
    refused(
        tmp_path / "two.h5", models[1], "is trained on 2 replicas; only one can be watched: create the model outside"
    )


def test_a_forgotten_callback_is_told(tmp_path):
    model = linear("sgd")
    with (
        pytest.warns(
            UserWarning, match=r"run.step\(\) was never called.*give model.fit callbacks=\[run.callback\(\)\]"
        ),
        record(model, tmp_path / "run.h5", progress=False),
    ):
        model.fit(X, Y, verbose=0)


def test_a_graph_older_than_the_recording_is_told(tmp_path):
    model = linear("sgd")

    @tf.function
    def train(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x)))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    train(X)
    with (
        pytest.warns(
            UserWarning, match="no update of the model was seen in 1 step.* not in a tf.function that is older"
        ),
        record(model, tmp_path / "run.h5", progress=False) as run,
    ):
        run.step(loss=train(X))


def test_nothing_is_left_behind(tmp_path):
    x, y = patches()
    model = classifier()
    before = {owner: set(vars(owner)) for owner in (model, model.optimizer, *model.layers)}
    with record(model, tmp_path / "run.h5", probe=(x[:4], y[:4]), instruments="full", progress=False) as run:
        model.fit(x, y, verbose=0, callbacks=[run.callback()])
        model.save(tmp_path / "inside.keras")
        keras.models.clone_model(model)
    for owner, names in before.items():
        ours = {"apply", "call", "train_step", "compute_loss"} & set(vars(owner))
        assert ours <= names, owner
    loaded = keras.models.load_model(tmp_path / "inside.keras")
    assert {"apply"} & set(vars(loaded.optimizer)) == set()
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    rows = open_run(tmp_path / "run.h5").steps
    model.fit(x, y, verbose=0)
    assert open_run(tmp_path / "run.h5").steps == rows


def test_a_train_function_from_before_is_made_anew_and_ours_does_not_stay(tmp_path):
    model = linear("sgd")
    model.fit(X, Y, verbose=0)  # traced without us
    with record(model, tmp_path / "run.h5", instruments="full", progress=False) as run:
        model.fit(X, Y, verbose=0, callbacks=[run.callback()])
        ours = model.train_function
    assert np.isfinite(open_run(tmp_path / "run.h5")["gradient_norm"].values).all()
    assert model.train_function is not ours
    model.fit(X, Y, verbose=0)


def test_a_checkpoint_is_a_weights_file(tmp_path):
    x, y = patches()
    model = classifier()
    recorded(model, tmp_path / "run.h5", x, y, {"checkpoints": Checkpoints(every=5)}, batch_size=8)
    other = classifier(seed=3)
    other.load_weights(tmp_path / "run.d" / "checkpoints" / "step-000005.weights.h5")
    for mine, theirs in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
