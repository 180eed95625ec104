"""Facts of a torch model, its checkpoints, and mistakes at the door."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recorder.adapters.torch.adapter import TorchAdapter, numbers_later
from recorder.errors import RecordError
from recorder.reading import LayerFacts, TensorFacts


def test_facts():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).double()
    model[0].bias.requires_grad_(False)
    facts = TorchAdapter(model, probe=torch.zeros(4, 1, 8, 8, dtype=torch.float64)).facts()
    assert facts.framework == "torch"
    assert facts.tensors == (
        TensorFacts("0.weight", (2, 1, 3, 3), "float64", "0"),
        TensorFacts("0.bias", (2,), "float64", "0", trainable=False),
    )
    assert facts.layers == (LayerFacts("0", "Conv2d", (2, 6, 6)), LayerFacts("1", "ReLU", (2, 6, 6)))
    assert (facts.probe_samples, facts.device) == (4, "cpu")
    assert "after reduction and clipping" in facts.gradient_point


def test_a_checkpoint_is_the_models_own_state(tmp_path):
    model = nn.Linear(2, 1)
    TorchAdapter(torch.compile(model, backend="eager")).save(tmp_path / "one.pth")
    loaded = torch.load(tmp_path / "one.pth", weights_only=True)
    nn.Linear(2, 1).load_state_dict(loaded)
    assert torch.equal(loaded["weight"], model.weight)
    TorchAdapter({"G": model, "D": nn.Linear(1, 1)}).save(tmp_path / "two.pth")
    assert {name: list(s) for name, s in torch.load(tmp_path / "two.pth", weights_only=True).items()} == {
        "G": ["weight", "bias"], "D": ["weight", "bias"],
    }  # fmt: skip


def test_the_model_is_given_back_unwrapped():
    model = nn.Linear(2, 1)
    assert TorchAdapter(torch.compile(model, backend="eager")).model() is model
    assert TorchAdapter({"G": model}).model() == {"G": model}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda m: TorchAdapter({"G": m, "D": 3}), "models\\['D'\\] is int, expected a torch.nn.Module"),
        (lambda m: TorchAdapter({}), "the dict of models is empty"),
        (lambda m: TorchAdapter(nn.LazyLinear(3)), "'weight' has no shape yet; run one batch"),
        (lambda m: TorchAdapter(m, optimizer="adam"), "expected a torch.optim.Optimizer, .* got str"),
        (
            lambda m: TorchAdapter(m, optimizer={"G": torch.optim.SGD(nn.Linear(2, 1).parameters(), 0.1)}),
            "optimizer 'G': SGD updates none of the model's 2 parameters",
        ),
    ],
)
def test_mistakes_at_the_door(make, said):
    with pytest.raises(RecordError, match=said):
        make(nn.Linear(2, 1))


def test_scalars_of_any_number_type():
    loss = (torch.ones(3, requires_grad=True) * 2).sum()
    values = {"loss": loss, "accuracy": np.float32(0.5), "count": 3, "flag": True, "one": torch.ones(1)}
    assert numbers_later(values)() == {"loss": 6.0, "accuracy": 0.5, "count": 3.0, "flag": 1.0, "one": 1.0}
