"""TensorBoard finds the scalars of a Keras training while it runs, beside TensorFlow in the same process."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from recorder import record
from tests.keras.nets import classifier, patches, recorded


def shown(folder):
    """{tag: [(step, number)]} as TensorBoard itself reads it."""
    events = EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(e.step, tensor_util.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


@pytest.mark.parametrize("block", [1, 3])
def test_every_scalar_is_there_as_in_the_run(tmp_path, block):
    x, y = patches()
    options = {"tensorboard": tmp_path / "tb", "instruments": "dynamics"}
    run = recorded(
        classifier(steps_per_execution=block), tmp_path / "run.h5", x, y, options,
        batch_size=8, epochs=2, validation_data=(x, y),
    )  # fmt: skip
    found = shown(tmp_path / "tb")
    scalars = {item for s in run.series.values() if s.kind == "scalar" for item in s.items}
    assert set(found) == scalars
    for name in scalars:
        there = {t: v for t, v in zip(run[name].step.tolist(), run[name].values.tolist(), strict=True) if v == v}
        given = {t: v for t, v in found[name] if v == v}
        assert given == there, name
    assert {"loss", "accuracy", "learning_rate", "val_accuracy", "gradient_norm_total"} <= scalars


def test_keras_own_callback_may_write_beside_it(tmp_path):
    x, y = patches()
    model = classifier()
    with record(model, tmp_path / "run.h5", tensorboard=tmp_path / "ours", progress=False, strict=True) as run:
        theirs = keras.callbacks.TensorBoard(tmp_path / "theirs")
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[run.callback(), theirs])
    losses = [value for _, value in shown(tmp_path / "ours")["loss"]]
    assert len(losses) == 5
    assert np.isfinite(losses).all()
    assert list((tmp_path / "theirs").rglob("*tfevents*"))
