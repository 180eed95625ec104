"""Are the checkpoints of a Keras training measured as they would have been live?"""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from recorder import measure, open_run, record
from recorder.errors import RecordError
from recorder.recording.checkpoint import Checkpoints
from recorder.schedule import every
from tests.keras.nets import classifier, layers, patches

X, Y = patches()
NAMES = ("activation_statistics", "activation_histogram", "effective_dimension", "cka")


def net(*stack: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6, 6, 2)), *stack])


def bare() -> keras.Model:
    """The same layers, never compiled and with other weights."""
    keras.utils.set_random_seed(5)
    return net(*layers())


def wider() -> keras.Model:
    return net(*layers()[:-1], keras.layers.Dense(4, name="out"))


def shorter() -> keras.Model:
    return net(*layers()[:-1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of ten batches; a checkpoint each five of them, the probe looked at each ten."""
    model, path = classifier(), tmp_path_factory.mktemp("trained") / "cnn.h5"
    live = [every(10, name) for name in NAMES]
    with record(
        model, path, probe=(X[:12], Y[:12]), instruments=live, checkpoints=Checkpoints(every=5), progress=False
    ) as recording:
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[recording.callback()])
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy to measure into."""
    return Path(shutil.copytree(trained.parent, tmp_path, dirs_exist_ok=True)) / trained.name


@pytest.mark.parametrize("make", [bare, classifier])
def test_series_equal_those_recorded_live(run: Path, tmp_path: Path, make) -> None:
    pattern = f"{run.with_suffix('.d')}/checkpoints/*.weights.h5"
    apart = measure(tmp_path / "apart.h5", NAMES, model=make, data=(X[:12], Y[:12]), checkpoints=pattern)
    with open_run(run) as live:
        assert live["activation_mean"].step.tolist() == [0, 10, 20]
        for name, found in apart.items():
            assert found.step.tolist() == [5, 10, 15, 20]
            for item in found.items:
                for step in (10, 20):
                    then = live.row(name, step, item)[1]
                    now = found.item(item).values[[5, 10, 15, 20].index(step)]
                    np.testing.assert_allclose(now, then, rtol=1e-6, atol=1e-6)


def test_the_runs_own_checkpoints_and_probe_are_used(run: Path) -> None:
    found = measure(run, "activation_statistics", model=bare)
    assert found["activation_mean"].step.tolist() == [0, 5, 10, 15, 20]
    assert np.isfinite(found["activation_mean"].values).all()
    with pytest.raises(
        RecordError, match="it is a Sequential of keras, whose layers only your code knows; give --model"
    ):
        measure(run, "activation_statistics")


def test_whole_models_and_weights_of_the_older_form_are_read(tmp_path: Path) -> None:
    expected = {}
    for step, seed in ((1, 3), (2, 4)):
        model = classifier(seed=seed)
        model.save(tmp_path / f"model-{step}.keras")
        model.save_weights(tmp_path / f"net-{step}.weights.h5")
        model.save(tmp_path / f"old-{step}.h5")
        expected[step] = float(np.linalg.norm(model.get_layer("hidden").kernel.numpy()))
    for glob in ("model-*.keras", "net-*.weights.h5", "old-*.h5"):
        found = measure(tmp_path / f"run-{glob[:3]}.h5", "weight_norm", model=bare, checkpoints=tmp_path / glob)
        norm = found["weight_norm"]
        place = next(k for k, name in enumerate(norm.items) if "hidden" in name and "kernel" in name)
        np.testing.assert_allclose(norm.values[:, place], list(expected.values()), rtol=1e-6)


def test_checkpoints_of_other_models_are_said(run: Path) -> None:
    with pytest.raises(
        RecordError, match=r"none of 4 .*has 'layers/dense_1/vars/0' of the shape \(5, 3\), expected \(5, 4\)"
    ):
        measure(run, "weight_norm", model=wider)
    with pytest.raises(RecordError, match=r"has 'layers/dense_1/vars/0', 'layers/dense_1/vars/1' beside the model's 8"):
        measure(run, "weight_norm", model=shorter)
    with pytest.raises(RecordError, match="a Keras file holds one set of weights; leave --key out"):
        measure(run, "weight_norm", model=bare, key="ema")
    (run.with_suffix(".d") / "checkpoints" / "step-000010.weights.h5").write_bytes(b"torn")
    found = measure(run, "weight_norm", model=bare)
    assert found["weight_norm"].step.tolist() == [5, 15, 20]
