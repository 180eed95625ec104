"""Which adapter watches which model; no framework is imported for the user."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from recorder import record
from recorder.adapters import adapter_for
from recorder.adapters.numpy import NumpyAdapter
from recorder.adapters.torch.adapter import TorchAdapter
from recorder.errors import RecordError
from tests.adapters.nets import GradientDescent, NumpyNet


def test_torch_and_numpy():
    linear = torch.nn.Linear(2, 1)
    assert isinstance(adapter_for(linear), TorchAdapter)
    assert isinstance(adapter_for({"one": linear}), TorchAdapter)
    net = NumpyNet(np.random.default_rng(0))
    assert isinstance(adapter_for(net, optimizer=GradientDescent(net, 0.1)), NumpyAdapter)


@pytest.mark.parametrize("model", [object(), "model", None, {"a": 3}, {}])
def test_anything_else_is_refused_with_what_is_supported(model):
    with pytest.raises(RecordError, match=r"record: cannot watch .*; expected a torch.nn.Module, a dict of them"):
        adapter_for(model)


def test_keras_2_is_told_plainly():
    model = type("Sequential", (), {"__module__": "tf_keras.src.engine.sequential"})()
    with pytest.raises(RecordError, match="this is a model of Keras 2"):
        adapter_for(model)


def test_a_callback_is_for_keras(tmp_path):
    run = record(torch.nn.Linear(2, 1), tmp_path / "run.h5")
    with pytest.raises(RecordError, match=r"for model.fit of a Keras model, .* is a torch training: call run.step"):
        run.callback()


def test_a_numpy_training_imports_no_framework():
    program = (
        "import sys, numpy as np\n"
        "from recorder.adapters import adapter_for\n"
        "class Net:\n"
        "    parameters, gradients = {'w': np.ones(2)}, {}\n"
        "    def step(self): pass\n"
        "adapter_for(Net())\n"
        "print(sorted({'torch', 'tensorflow', 'keras', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
