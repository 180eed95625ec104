"""Every number about gradients and weights in a run of numpy or torch is what plain numpy makes of its raw vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recorder import open_run, record
from tests.keras.parity import BATCHES, EPOCHS, MOMENTUM, RATE, Momentum, data
from tests.recording.section_b import assert_by_definition, everything


def in_numpy(path):
    net, x, _ = data()
    optimizer = Momentum(net)
    with record(net, path, optimizer=optimizer, instruments=everything(), progress=False, strict=True) as run:
        for batch in EPOCHS * np.split(x, BATCHES):
            loss = net.backward(batch)
            optimizer.step()
            run.step(loss=loss)


def in_torch(path, dtype):
    net, x, _ = data()
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model.load_state_dict({name: torch.from_numpy(w) for name, w in net.parameters.items()})
    model.to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM)
    with record(model, path, optimizer=optimizer, instruments=everything(), progress=False, strict=True) as run:
        for batch in EPOCHS * np.split(x, BATCHES):
            optimizer.zero_grad()
            loss = model(torch.from_numpy(batch).to(dtype)).float().square().mean()
            loss.backward()
            optimizer.step()
            run.step(loss=loss)


def test_numpy(tmp_path):
    in_numpy(tmp_path / "run.h5")
    assert_by_definition(open_run(tmp_path / "run.h5"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_torch(dtype, tmp_path):
    in_torch(tmp_path / "run.h5", dtype)
    assert_by_definition(open_run(tmp_path / "run.h5"))


def drawn_gradients(path, parameters):
    model = nn.Module()
    model.tensors = nn.ParameterList(parameters)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, path, optimizer=optimizer, instruments=everything(), progress=False, strict=True) as run:
        for _ in range(5):
            for p in model.parameters():
                p.grad = torch.randn_like(p) * 1e-4
            optimizer.step()
            run.step()
    return open_run(path)


def test_complex_numbers_are_pairs(tmp_path):
    run = drawn_gradients(tmp_path / "run.h5", [torch.randn(3, 2, dtype=torch.complex64), torch.randn(5)])
    assert_by_definition(run)
    assert run["raw_gradient"]["tensors.0"].values.shape == (5, 3, 2, 2)
    assert [tensor["shape"] for tensor in run.meta["tensors"]] == [[3, 2, 2], [5]]


def test_of_a_tensor_without_entries_nothing_is_stored_whole(tmp_path):
    run = drawn_gradients(tmp_path / "run.h5", [torch.empty(0, 4), torch.randn(5)])
    assert run["gradient_norm"].items == ("tensors.0", "tensors.1")
    assert run["raw_gradient"].items == run["sign_map"].items == ("tensors.1",)
    assert run.state == "done"
