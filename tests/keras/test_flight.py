"""Flight recorder on Keras: a NaN in a batch of `fit` takes the steps before it into the run."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from recorder import FlightRecorder, open_run, record

BAD, STEPS, BATCH = 20, 30, 8


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_a_nan_in_fit(tmp_path, jit):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse", jit_compile=jit)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, 4)).astype("f4"), rng.normal(size=(STEPS * BATCH, 1)).astype("f4")
    x[BAD * BATCH + 3, 1] = np.nan
    told = []
    with record(
        model, tmp_path / "k.h5", flight_recorder=FlightRecorder(10, norms=True), on_anomaly=told.append,
        progress=False, strict=True,
    ) as run:  # fmt: skip
        model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0, callbacks=[run.callback()])
    (anomaly,) = told
    run = open_run(tmp_path / "k.h5")
    names = [tensor["name"] for tensor in run.meta["tensors"]]
    assert (anomaly.kind, anomaly.step, anomaly.tensors) == ("not_finite", BAD, tuple(names[::-1]))
    norm = run["flight_gradient_norm"]
    assert norm.step.tolist() == list(range(BAD - 9, BAD + 1))
    assert np.isfinite(norm.values[:-1]).all()
    assert np.isnan(norm.values[-1]).all()
    known = run["gradient_norm"]
    both = np.isin(norm.step, known.step)
    assert norm.step[both].tolist() == [11, 20]  # recorded by the schedule as well
    np.testing.assert_array_equal(norm.values[both], known.values[np.isin(known.step, norm.step)])
    model.load_weights(anomaly.checkpoint)
    assert any(np.isnan(w).any() for w in model.get_weights())
