"""Recording changes nothing, whatever way Keras trains, and sees only updates that happen."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from recorder import open_run, record
from recorder.adapters.keras.adapter import KerasAdapter
from recorder.recording.conductor import Conductor
from recorder.recording.memory import memory
from recorder.schedule import Moment
from tests.keras.nets import WAYS, classifier, gradient, linear, patches, recorded, updates, weights

EVERYTHING = {"instruments": ["full"]}


def inputs(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


def zeros(x):
    return np.zeros((len(x), 2), np.float32)


@pytest.mark.parametrize("compiled", [WAYS["graph"], WAYS["eager"], {"jit_compile": False, "steps_per_execution": 4}])
def test_the_result_is_the_same_bit_for_bit(compiled, tmp_path):
    x, y = patches()
    fit = {"batch_size": 8, "epochs": 2, "verbose": 0, "validation_data": (x[:8], y[:8])}
    alone, watched = classifier(**compiled), classifier(**compiled)
    keras.utils.set_random_seed(1)
    alone.fit(x, y, **fit)
    keras.utils.set_random_seed(1)
    run = recorded(watched, tmp_path / "run.h5", x, y, {"probe": x[:4], **EVERYTHING}, shuffle=True, **fit)
    assert weights(watched) == weights(alone)
    assert run.steps == 10
    for model in (alone, watched):  # again, without recording
        keras.utils.set_random_seed(2)
        model.fit(x, y, **fit)
    assert weights(watched) == weights(alone)


def test_under_xla_the_result_is_the_same_but_for_rounding(tmp_path):
    """What is copied has to exist in memory, so XLA fuses other operations and some sums are rounded otherwise."""
    x = inputs(40)
    alone, watched = (linear("adam", **WAYS["xla"]) for _ in range(2))
    alone.fit(x, zeros(x), batch_size=8, epochs=2, verbose=0, shuffle=False)
    run = recorded(watched, tmp_path / "run.h5", x, zeros(x), EVERYTHING, batch_size=8, epochs=2)
    assert ["compiled by XLA" in event.text for event in run.events] == [True]
    np.testing.assert_allclose(watched.get_weights()[0], alone.get_weights()[0], rtol=1e-5)


def test_scalars_of_steps_and_epochs(tmp_path):
    x, y = patches(24)
    model = classifier(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)))
    losses = []

    def keep(batch, logs):
        losses.append(logs)

    with record(model, tmp_path / "run.h5", progress=False) as run:
        history = model.fit(
            x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x, y), shuffle=False,
            callbacks=[run.callback(), keras.callbacks.LambdaCallback(on_train_batch_end=keep)],
        ).history  # fmt: skip
    found = open_run(tmp_path / "run.h5")
    np.testing.assert_allclose(found["learning_rate"].values, 0.5 * 0.5 ** np.arange(6), rtol=1e-6)
    by_epoch = found["loss"].values.reshape(2, 3)
    np.testing.assert_allclose(
        by_epoch.mean(axis=1), history["loss"], rtol=1e-5
    )  # each batch's own, not the running mean
    np.testing.assert_allclose(by_epoch[:, :2].mean(axis=1), [losses[1]["loss"], losses[4]["loss"]], rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"].values, [one["accuracy"] for one in losses])
    np.testing.assert_allclose(found["val_loss"].values, history["val_loss"])
    assert found["val_loss"].step.tolist() == [3, 6]
    assert "epoch/loss" not in found


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_only_the_updates_of_accumulated_gradients_are_recorded(way, tmp_path):
    x, w, norms = inputs(48), np.ones((3, 2)), []
    for two in np.split(x, 6):
        mean = np.mean([gradient(half, w) for half in np.split(two.astype(float), 2)], axis=0)
        norms.append(np.linalg.norm(mean))
        w = w - 0.1 * mean
    model = linear(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), **WAYS[way])
    run = recorded(model, tmp_path / "run.h5", x, zeros(x), EVERYTHING, batch_size=4)
    steps, found = updates(run, "gradient_norm")
    assert steps == [1, 3, 5, 7, 9, 11]
    np.testing.assert_allclose(found, norms, rtol=1e-5)
    assert len(run["loss"].values) == 12
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-5)


def test_accumulated_updates_in_blocks(tmp_path):
    x = inputs(48)
    optimizer = {"learning_rate": 0.1, "gradient_accumulation_steps": 2}
    runs = [
        recorded(linear(keras.optimizers.SGD(**optimizer), steps_per_execution=k), tmp_path / f"{k}.h5", x, zeros(x),
                 EVERYTHING, batch_size=4)
        for k in (1, 5)
    ]  # fmt: skip
    assert updates(runs[1], "gradient_norm")[0] == [1, 3, 5, 7, 9, 11]
    for name in ("gradient_norm", "weight_norm", "update_ratio", "sign_flips", "loss"):
        np.testing.assert_array_equal(runs[0][name].values, runs[1][name].values, err_msg=name)


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_the_loss_scale_is_divided_out_and_skipped_updates_are_told(way, tmp_path):
    x = inputs(16)
    x[4:8] = np.inf  # the second batch
    norms = [np.linalg.norm(gradient(x[:4].astype(float), np.ones((3, 2))))]
    model = linear(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1024.0), **WAYS[way])
    run = recorded(model, tmp_path / "run.h5", x, zeros(x), EVERYTHING, batch_size=4)
    steps, found = updates(run, "gradient_norm")
    assert steps == [0, 2, 3]
    np.testing.assert_allclose(found[0], norms[0], rtol=1e-5)
    assert [(e.kind, e.step) for e in run.events if "skipped" in e.text] == [("skipped", 1)]
    assert run["learning_rate"].values.tolist() == pytest.approx([0.1] * 4)


def test_a_fixed_loss_scale_and_clipping(tmp_path):
    x = inputs(8)
    model = linear(keras.optimizers.SGD(0.1, loss_scale_factor=64.0, clipnorm=1e-3))
    run = recorded(model, tmp_path / "run.h5", x, zeros(x), EVERYTHING, batch_size=8)
    expected = np.linalg.norm(gradient(x.astype(float), np.ones((3, 2))))
    np.testing.assert_allclose(run["gradient_norm"].values[0, 0], expected, rtol=1e-5)  # before clipping
    assert "before Keras's own clipping" in run.meta["gradient_point"]


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float64"])
def test_precisions(policy, tmp_path):
    x = inputs(8)
    model = linear("sgd", dtype=policy)
    run = recorded(model, tmp_path / "run.h5", x, zeros(x), EVERYTHING, batch_size=8)
    expected = np.linalg.norm(gradient(x.astype(float), np.ones((3, 2))))
    np.testing.assert_allclose(run["gradient_norm"].values[0, 0], expected, rtol=2e-2)
    assert run["weight_norm"].values[0, 0] == pytest.approx(np.sqrt(6))
    assert run.meta["tensors"][0]["dtype"] == {"mixed_float16": "float32"}.get(policy, policy)


class OwnStep(keras.Model):
    """A train_step as Keras's guide has it, with two optimizers that take turns on two layers."""

    def __init__(self, names=("one", "two")):
        super().__init__()
        self.one, self.two = (keras.layers.Dense(2, use_bias=False, name=name) for name in names)

    def call(self, x, training=False):
        return self.two(self.one(x))

    def train_step(self, data):
        x, y = data
        for layer, optimizer in ((self.one, self.first), (self.two, self.second)):
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            variables = layer.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"own": loss}


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_a_second_fit_goes_on_in_the_same_run(way, tmp_path):
    x, w, norms = inputs(24), np.ones((3, 2)), []
    for batch in 2 * np.split(x.astype(float), 6):
        norms.append(np.linalg.norm(gradient(batch, w)))
        w = w - 0.1 * gradient(batch, w)
    model = linear(keras.optimizers.SGD(0.1), **WAYS[way])
    with record(model, tmp_path / "run.h5", instruments="full", progress=False, strict=True) as run:
        for _ in range(2):
            model.fit(x, zeros(x), batch_size=4, shuffle=False, verbose=0, callbacks=[run.callback()])
    steps, found = updates(open_run(tmp_path / "run.h5"), "gradient_norm")
    assert steps == list(range(12))
    np.testing.assert_allclose(found, norms, rtol=1e-5)


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_the_policy_of_mixed_precision_as_users_set_it(way, tmp_path):
    """Keras then wraps the optimizer of model.compile itself."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x = 0.1 * inputs(16)  # 32,768 times their gradients are float16 still
        model = linear(keras.optimizers.SGD(0.1), **WAYS[way])
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        run = recorded(model, tmp_path / "run.h5", x, zeros(x), EVERYTHING, batch_size=4)
    finally:
        keras.config.set_dtype_policy("float32")
    expected = np.linalg.norm(gradient(x[:4].astype(float), np.ones((3, 2))))
    steps, found = updates(run, "gradient_norm")
    assert steps == [0, 1, 2, 3]
    np.testing.assert_allclose(found[0], expected, rtol=1e-2)
    assert run.meta["tensors"][0]["dtype"] == "float32"
    assert run["learning_rate"].values.tolist() == pytest.approx([0.1] * 4)


@pytest.mark.parametrize(("block", "way"), [(1, "graph"), (3, "graph"), (3, "xla")])
def test_a_train_step_of_the_users_own_with_two_optimizers(block, way, tmp_path):
    x = inputs(20)
    model = OwnStep()
    model(x[:1])
    model.first, model.second = keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.2)
    model.compile(loss="mse", steps_per_execution=block, **WAYS[way])
    options = {"optimizer": {"first": model.first, "second": model.second}, **EVERYTHING}
    run = recorded(model, tmp_path / "run.h5", x, zeros(x), options, batch_size=4, epochs=2)
    assert run.steps == 10
    assert np.isfinite(run["gradient_norm"].values).all()
    assert run["gradient_norm"].values.shape == (10, 2)
    assert run["learning_rate/first"].values.tolist() == pytest.approx([0.1] * 10)
    assert run["learning_rate/second"].values.tolist() == pytest.approx([0.2] * 10)
    assert len(run["loss"].values) == 10
    assert len(run["own"].values) == {1: 10, 3: 4}[block]  # Keras shows one of each execution


def test_a_loop_of_the_users_own_compiled_once_for_three_recordings(tmp_path):
    model = linear("sgd")
    optimizer = keras.optimizers.SGD(0.1)
    x, w = inputs(24), np.ones((3, 2))
    expected = []
    for batch in np.split(x.astype(float), 6):
        expected.append(np.linalg.norm(gradient(batch, w)))
        w = w - 0.1 * gradient(batch, w)

    @tf.function
    def train(batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(batch, training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    found = []
    for part in range(3):
        path = tmp_path / f"{part}.h5"
        with record(model, path, optimizer=optimizer, instruments="full", progress=False, strict=True) as run:
            for batch in np.split(x, 6)[2 * part : 2 * part + 2]:
                run.step(loss=train(batch))
            run.epoch(done=1.0)
        found += open_run(path)["gradient_norm"].values[:, 0].tolist()
        assert open_run(path)["gradient_norm"].step.tolist() == [0, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    train(x[:4])  # the graph that was traced in the block still works after it


def test_two_recordings_at_once_see_the_same(tmp_path):
    model, x = linear("sgd"), inputs(24)
    options = {"instruments": "dynamics", "progress": False, "strict": True}
    with record(model, tmp_path / "a.h5", **options) as a, record(model, tmp_path / "b.h5", **options) as b:
        model.fit(x, zeros(x), batch_size=4, verbose=0, callbacks=[a.callback(), b.callback()])
    runs = [open_run(tmp_path / name) for name in ("a.h5", "b.h5")]
    for name in runs[0].series.keys() - {"scalars"} | {"loss"}:
        np.testing.assert_array_equal(runs[0][name].values, runs[1][name].values, err_msg=name)
    assert np.isfinite(runs[1]["gradient_norm"].values).all()
    assert runs[1].steps == 6


def test_rows_of_rare_schedules_in_long_blocks(tmp_path):
    """What is copied in a block has fewer places than the block has iterations."""
    x = inputs(100)
    run = recorded(linear("sgd", steps_per_execution=25), tmp_path / "run.h5", x, zeros(x), {"instruments": "light"},
                   batch_size=2, epochs=2)  # fmt: skip
    assert run["gradient_norm"].step.tolist() == [t for t in range(100) if t % 10 < 2]
    assert np.isfinite(run["gradient_norm"].values).all()
    assert np.isfinite(run["update_ratio"].values).all()
    assert not run.events


def test_steps_per_execution_may_change_between_fits(tmp_path):
    model = linear("sgd")
    x = inputs(24)
    with record(model, tmp_path / "run.h5", instruments="full", progress=False, strict=True) as run:
        callback = run.callback()
        model.fit(x, zeros(x), batch_size=4, verbose=0, callbacks=[callback])
        model.compile(model.optimizer, "mse", steps_per_execution=4, jit_compile=False)
        model.fit(x, zeros(x), batch_size=4, verbose=0, callbacks=[callback])
    found = open_run(tmp_path / "run.h5")
    assert found["gradient_norm"].step.tolist() == list(range(12))
    assert np.isfinite(found["gradient_norm"].values).all()
    assert found.epochs == 2


@pytest.mark.parametrize(("instruments", "block", "slots"), [("full", 1, 1), ("full", 5, 5), ("light", 5, 3)])
def test_the_memory_of_what_the_graph_copies_is_said_before_it_is_taken(instruments, block, slots, tmp_path):
    model = linear("sgd", steps_per_execution=block)
    setup = record(model, tmp_path / "run.h5", instruments=instruments, progress=False)
    adapter = setup._setup.adapter
    conductor = Conductor(setup._setup.players, lambda *_: None)
    conductor.move_to(Moment(0, epoch_begins=True))
    said = adapter.bytes_for(conductor.wants)
    assert adapter._tape is None
    with setup as run:
        taken = sum(v.numpy().nbytes for v in adapter._tape._copies._variables)
        assert taken == said == slots * 2 * 6 * 4
        assert run.summary.kept == said + memory(setup._setup.players, setup._setup.facts.tensors)


def test_frozen_unused_and_sparse_tensors(tmp_path):
    tokens = keras.Input((3,), dtype="int32")
    shared = keras.layers.Embedding(7, 2, name="embedding")(tokens)
    frozen = keras.layers.Dense(2, name="frozen", trainable=False)(shared)
    out = keras.layers.Dense(1, name="out")(keras.layers.GlobalAveragePooling1D()(frozen))
    model = keras.Model(tokens, out)
    model.compile("sgd", "mse", jit_compile=False)
    x = np.array([[1, 1, 2], [2, 3, 1]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - 1.0))
    by_hand = tape.gradient(loss, model.trainable_variables)
    expected = [np.linalg.norm(tf.convert_to_tensor(g)) for g in by_hand]
    run = recorded(model, tmp_path / "run.h5", x, np.ones((2, 1)), EVERYTHING, batch_size=2)
    facts = {t["name"]: t["trainable"] for t in run.meta["tensors"]}
    assert facts == {"embedding/embeddings": True, "frozen/kernel": False, "frozen/bias": False, "out/kernel": True,
                     "out/bias": True}  # fmt: skip
    norms = dict(zip(facts, run["gradient_norm"].values[0], strict=True))
    np.testing.assert_allclose([norms[n] for n, t in facts.items() if t], expected, rtol=1e-5)
    assert np.isnan([norms[n] for n, t in facts.items() if not t]).all()


def test_a_failure_of_the_recorder_does_not_stop_the_training(tmp_path, monkeypatch):
    x, y = patches()
    alone = classifier()
    alone.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False)
    watched = classifier()
    calls = []

    def fails(self, *_):
        calls.append(1)
        if len(calls) == 4:
            raise ValueError("broken")
        return measure(self, *_)

    measure = KerasAdapter._measure
    monkeypatch.setattr(KerasAdapter, "_measure", fails)
    with pytest.warns(UserWarning, match="recording failed at step 4: ValueError: broken; the training goes on"):
        run = recorded(watched, tmp_path / "run.h5", x, y, {"strict": False}, batch_size=8, epochs=2)
    assert weights(watched) == weights(alone)
    assert run["loss"].step.tolist() == [0, 1, 2, *range(4, 10)]
