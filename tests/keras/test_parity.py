"""The same small net, weights and batches through numpy (the reference), torch and Keras: every series is the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from recorder import open_run, record
from tests.keras.nets import WAYS
from tests.keras.parity import EPOCHS, MOMENTUM, RATE, assert_same_runs, data, empty, everything, reference
from tests.recording.section_b import assert_by_definition
from tests.recording.section_b import everything as section_b

ROOT = Path(__file__).parents[2]
TORCH = Path(os.environ.get("TORCH_PYTHON", ROOT / ".venv" / "bin" / "python"))  # it shares no process with TensorFlow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The run of the reference, and that of torch."""
    folder = tmp_path_factory.mktemp("parity")
    net, x, probe = data()
    np.savez(folder / "data.npz", x=x, probe=probe, **{f"w:{name}": w for name, w in net.parameters.items()})
    assert TORCH.exists(), f"no python with torch at {TORCH}: make test sets it up, or give TORCH_PYTHON"
    done = subprocess.run(
        [TORCH, "-m", "tests.keras.torch_twin", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return reference(folder / "numpy.h5", net, x, probe), open_run(folder / "torch.h5")


def trained(path, instruments=None, **compiled):
    """The run of the training by Keras, and its names of the tensors."""
    net, x, probe = data()
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, name="0"),
            keras.layers.ReLU(name="1"),
            keras.layers.Dense(2, name="2"),
        ]
    )
    model.set_weights([w.T for w in net.parameters.values()])
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss="mse", **compiled)
    options = {"probe": probe, "instruments": instruments or everything(), "progress": False, "strict": True}
    with record(model, path, **options) as run:
        model.fit(x, np.zeros((len(x), 2)), batch_size=16, epochs=EPOCHS, shuffle=False, verbose=0,
                  callbacks=[run.callback()])  # fmt: skip
    return open_run(path), dict(zip(net.parameters, (w.path for w in model.trainable_weights), strict=True))


def test_torch_is_the_reference(runs):
    expected, found = runs
    assert_same_runs(found, expected, {})


@pytest.mark.parametrize("way", ["graph", "eager", "block", "xla block"])
def test_keras_is_the_reference_and_torch(way, runs, tmp_path):
    compiled = {"steps_per_execution": 3} if "block" in way else {}
    compiled |= WAYS.get(way.removesuffix("block").strip(), {"jit_compile": False})
    found, names = trained(tmp_path / "keras.h5", **compiled)
    for expected in runs:
        assert_same_runs(found, expected, names, looser=5 if "xla" in way else 1)


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_every_number_is_what_plain_numpy_makes_of_the_raw_vectors(way, tmp_path):
    assert_by_definition(trained(tmp_path / "keras.h5", section_b(), **WAYS[way])[0])


def test_it_is_no_comparison_of_nothing(runs):
    for run in runs:
        assert len(run.series) > 50
        assert [name for name in empty(run) if "nonfinite" not in name] == []
        assert run["raw_update"].item("0.weight").values.shape[1:] == (8, 4)


def test_a_difference_is_found(runs, tmp_path):
    net, x, probe = data()
    net.parameters["2.weight"][0, 0] *= 1.001
    with pytest.raises(AssertionError):
        assert_same_runs(reference(tmp_path / "other.h5", net, x, probe), runs[0], {})
