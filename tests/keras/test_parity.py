"""The same small net, weights and batches through numpy (the reference) and Keras: every series is the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from recorder import open_run, record
from recorder.instruments import RawActivations, RawSnapshots
from tests.adapters.nets import GradientDescent, NumpyNet
from tests.keras.nets import WAYS

QUANTITIES = ("gradient", "weight", "update")
BATCHES, EPOCHS, RATE = 5, 3, 0.05


def everything():
    return ["full", RawSnapshots(quantities=QUANTITIES[:2]), RawActivations()]


def twin(net, **compiled):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, name="0"),
            keras.layers.ReLU(name="1"),
            keras.layers.Dense(2, name="2"),
        ]
    )
    model.set_weights([w.T for w in net.parameters.values()])
    model.compile(keras.optimizers.SGD(RATE), loss="mse", **compiled)
    return model


def reference(path, net, x, probe):
    optimizer = GradientDescent(net, RATE)
    with record(net, path, optimizer=optimizer, probe=probe, instruments=everything(), progress=False) as run:
        for _ in range(EPOCHS):
            for batch in np.split(x, BATCHES):
                loss = net.backward(batch)
                optimizer.step()
                run.step(loss=loss)
            run.epoch()
    return open_run(path)


@pytest.mark.parametrize("way", ["graph", "eager", "block", "xla block"])
def test_every_series_is_that_of_the_reference(way, tmp_path):
    compiled = {"steps_per_execution": 3} if "block" in way else {}
    compiled |= WAYS.get(way.removesuffix("block").strip(), {"jit_compile": False})
    rng = np.random.default_rng(0)
    net = NumpyNet(rng)
    x = rng.standard_normal((BATCHES * 16, 4)).astype(np.float32)
    probe = rng.standard_normal((5, 4)).astype(np.float32)
    model = twin(net, **compiled)
    expected = reference(tmp_path / "numpy.h5", net, x, probe)
    options = {"probe": probe, "instruments": everything(), "progress": False, "strict": True}
    with record(model, tmp_path / "keras.h5", **options) as run:
        model.fit(x, np.zeros((len(x), 2)), batch_size=16, epochs=EPOCHS, shuffle=False, verbose=0,
                  callbacks=[run.callback()])  # fmt: skip
    found = open_run(tmp_path / "keras.h5")
    assert list(found.series) == list(expected.series)
    names = dict(zip(net.parameters, (w.path for w in model.trainable_weights), strict=True))
    for name, series in expected.series.items():
        if name == "scalars":
            continue
        mine, theirs = found.clock(name), expected.clock(name)
        np.testing.assert_array_equal(mine.step, theirs.step, err_msg=name)
        np.testing.assert_array_equal(mine.epoch, theirs.epoch, err_msg=name)
        for item in series.items:
            same(
                name,
                found.values(name, names.get(item, item)),
                expected.values(name, item),
                5e-5 if "xla" in way else 1e-5,
            )
    for name in ("loss", "learning_rate"):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-5)


def same(name, mine, theirs, rtol):
    if name.startswith("raw_") and mine.ndim == 3 and "activation" not in name:
        mine = mine.swapaxes(1, 2)  # Keras's kernels are (input, output)
    if "histogram" in name:  # an entry at an edge may fall on either side of it after rounding
        assert np.abs(mine.astype(np.int64) - theirs.astype(np.int64)).sum() <= 2, name
    else:
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=1e-6 if name.startswith("raw") else 1e-9, err_msg=name)


def test_it_is_no_comparison_of_nothing(tmp_path):
    rng = np.random.default_rng(0)
    net = NumpyNet(rng)
    x = rng.standard_normal((BATCHES * 16, 4)).astype(np.float32)
    run = reference(tmp_path / "numpy.h5", net, x, x[:5])
    assert len(run.series) > 30
    assert np.nanmin(run["gradient_norm"].values) > 0
    assert run["sign_flips"].values.sum() > 0
    assert run["raw_gradient"].item("0.weight").values.shape == (EPOCHS + 1, 8, 4)
