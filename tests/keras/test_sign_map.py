"""The sign map of a Keras training: a row for each epoch, its last update, the last epoch too."""

from __future__ import annotations

import numpy as np
import pytest

from recorder import every, open_run, record
from recorder.analysis.signs import codes, unpacked
from recorder.instruments import RawSnapshots, SignMap


@pytest.mark.parametrize("block", [1, 4])
def test_the_row_of_an_epoch_is_that_of_its_last_update(tmp_path, block):
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(2)])
    model.compile("sgd", "mse", steps_per_execution=block, jit_compile=False)
    x, y = np.random.default_rng(0).standard_normal((2, 48, 6)).astype("f4")
    asked = [SignMap(tau=0.05), every(1, RawSnapshots())]
    with record(model, tmp_path / "r.h5", instruments=asked, progress=False, strict=True) as run:
        model.fit(x, y[:, :2], batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=[run.callback()])
    with open_run(tmp_path / "r.h5") as found:
        for tensor in found.series["sign_map"].items:
            steps = found.clock("sign_map", tensor).step.tolist()
            assert steps == [10, 23, 35]
            raw = found["raw_gradient"][tensor].values[steps]
            bits = unpacked(found["sign_map"][tensor].values)[:, : raw[0].size]
            np.testing.assert_array_equal(bits, [codes(g, 0.05) for g in raw])
