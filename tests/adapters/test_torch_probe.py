"""What the probe sees, and that nobody can tell it was there."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from recorder import Probe
from recorder.adapters.torch.adapter import TorchAdapter
from recorder.adapters.torch.probe_pass import CALLS
from recorder.errors import RecordError
from recorder.reading import Plan


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Residual(nn.Module):
    """One ReLU used twice, in place, behind a batch norm; a dropout; a flatten."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.relu, self.dropout, self.flatten = nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten()
        self.head = nn.Sequential(nn.Linear(48, 5), nn.Tanh())

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.conv2(y) + y)
        return self.head(self.flatten(self.dropout(y)))


def layers(adapter) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(layer.name, layer.kind, layer.shape) for layer in adapter.facts().layers]


def test_every_computing_leaf_once_a_call():
    adapter = TorchAdapter(Residual(), probe=torch.randn(7, 1, 4, 4))
    assert layers(adapter) == [
        ("conv1", "Conv2d", (3, 4, 4)),
        ("bn1", "BatchNorm2d", (3, 4, 4)),
        ("relu", "ReLU", (3, 4, 4)),
        ("conv2", "Conv2d", (3, 4, 4)),
        ("relu:2", "ReLU", (3, 4, 4)),
        ("head.0", "Linear", (5,)),
        ("head.1", "Tanh", (5,)),
    ]
    assert adapter.facts().probe_samples == 7


def test_activations_are_those_of_eval_mode_before_any_in_place_change():
    model, x = Residual(), torch.randn(7, 1, 4, 4)
    for _ in range(3):
        model(torch.randn(9, 1, 4, 4))  # running statistics of their own
    found = TorchAdapter(model, probe=x).probe().activations
    model.eval()
    with torch.no_grad():
        conv1 = model.conv1(x)
        bn1 = model.bn1(conv1)
        relu = bn1.relu()
        relu2 = (model.conv2(relu) + relu).relu()
        expected = {"conv1": conv1, "bn1": bn1, "relu": relu, "relu:2": relu2, "head.1": model(x)}
    for name, activation in expected.items():
        np.testing.assert_array_equal(found[name], activation.numpy(), err_msg=name)
        assert found[name].dtype == np.float32


def state(model):
    return (
        [m.training for m in model.modules()],
        {n: b.clone() for n, b in model.named_buffers()},
        [sorted(m._buffers) for m in model.modules()],
        [len(m._forward_hooks) for m in model.modules()],
        [p.requires_grad for p in model.parameters()],
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )


class Careless(nn.Module):
    """In eval mode too it draws from every generator, counts in a buffer, registers one and replaces one."""

    def __init__(self, fails=False):
        super().__init__()
        self.linear, self.frozen_norm, self.fails = nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=True), fails
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("scale", torch.ones(1))
        self.frozen_norm.eval()

    def forward(self, x):
        self.count += 1
        self.scale = self.scale * 2
        self.register_buffer("cache", x.clone())
        x = self.frozen_norm(self.linear(x)) + torch.rand_like(x) * random.random() * np.random.rand()  # noqa: NPY002
        if self.fails:
            raise ValueError("on purpose")
        return x

    def train(self, mode=True):
        raise AssertionError("the user's train() may do anything; the probe never calls it")


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_the_probe_is_left(fails):
    model = Careless(fails)
    adapter = TorchAdapter(model, probe=torch.randn(5, 4))
    before, buffers = state(model), dict(model.named_buffers())
    if fails:
        with pytest.raises(RecordError, match="probe: Careless failed on \\(5, 4\\): ValueError: on purpose"):
            adapter.probe()
    else:
        assert set(adapter.probe().activations) == {"linear", "frozen_norm"}
    after = state(model)
    assert after[0] == before[0]
    for name, buffer in before[1].items():
        assert torch.equal(after[1][name], buffer)
        assert dict(model.named_buffers())[name] is buffers[name]
    assert after[2:5] == before[2:5]
    assert torch.equal(after[5], before[5])
    assert after[6:] == before[6:]


def test_the_probe_is_what_it_was_at_the_start():
    model, x = nn.Linear(2, 1), torch.ones(3, 2)
    adapter = TorchAdapter(model, probe=x)
    before = adapter.probe().activations["Linear"]
    x.zero_()
    np.testing.assert_array_equal(adapter.probe().activations["Linear"], before)


def test_an_autocast_training_step_around_the_probe_keeps_its_gradients():
    model = nn.Linear(4, 2)
    adapter = TorchAdapter(model, probe=torch.randn(3, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = adapter.probe().activations["Linear"]
        model(torch.randn(3, 4)).float().sum().backward()
    assert model.weight.grad is not None
    assert not np.array_equal(
        found, adapter.probe().activations["Linear"]
    )  # the probe ran under the training's precision
    assert torch.is_autocast_cache_enabled()


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(4, 3)

    def forward(self, x, y, bias=None):
        return self.a(x) + self.b(y)


X, Y, LABELS = torch.ones(6, 2), torch.ones(6, 4), torch.zeros(6)


@pytest.mark.parametrize(
    ("model", "probe"),
    [
        (nn.Linear(2, 1), X),
        (nn.Linear(2, 1), X.numpy()),
        (nn.Linear(2, 1), (X, LABELS)),
        (nn.Linear(2, 1), [X, LABELS]),
        (nn.Linear(2, 1), {"input": X}),
        (TwoInputs(), (X, Y)),
        (TwoInputs(), (X, Y, LABELS)),
        (TwoInputs(), {"x": X, "y": Y, "bias": None}),
        ({"m": nn.Linear(2, 1)}, {"m": X}),
        ({"m": nn.Linear(2, 1)}, {"m": (X, LABELS)}),
        ({"m": TwoInputs(), "other": nn.Linear(1, 1)}, {"m": {"x": X, "y": Y}}),
        ({"m": nn.Linear(2, 1), "other": nn.Linear(1, 1)}, {"noise": X}),
        ({"m": TwoInputs()}, {"noise": X, "condition": Y}),
    ],
)
def test_forms_of_a_probe(model, probe):
    adapter = TorchAdapter(model, probe=probe)
    assert adapter.facts().probe_samples == 6
    assert all(len(x) == 6 for x in adapter.probe().activations.values())
    assert adapter.probe().activations


class TakesDict(nn.Module):
    def forward(self, batch, scale=1.0):
        return batch["x"] * batch["y"] * scale


class TakesNamed(nn.Module):
    def forward(self, x, y=None):
        return x * y


@pytest.mark.parametrize("model", [TakesDict, TakesNamed])
@pytest.mark.parametrize("labels", [False, True])
def test_several_inputs_in_a_dict(model, labels):
    batch = {"x": X, "y": 2 * X}
    adapter = TorchAdapter(model(), probe=(batch, LABELS) if labels else batch)
    np.testing.assert_array_equal(adapter.probe().outputs[""], 2 * X * X)
    assert adapter.facts().probes["probe"].labels == ((0.0,) * 6 if labels else ())
    assert list(adapter.inputs("probe")) == ["x", "y"]


class Draws(nn.Module):
    """Draws from generators of its own, in evaluation too."""

    def __init__(self):
        super().__init__()
        self.generator, self.numbers, self.plain = torch.Generator(), np.random.default_rng(0), random.Random(0)

    def forward(self, x):
        return x + torch.rand(1, generator=self.generator) + self.numbers.random() + self.plain.random()


def test_generators_of_the_models_own_are_where_they_were():
    watched, alone = Draws(), Draws()
    alone(X)
    watched(X)
    TorchAdapter(watched, probe=X).probe()
    np.testing.assert_array_equal(watched(X), alone(X))


def test_labels_behind_the_inputs_are_known():
    for probe in ((X, LABELS), [X, LABELS], Probe((X, LABELS)), Probe(X, labels=LABELS)):
        assert TorchAdapter(nn.Linear(2, 1), probe=probe).facts().probes["probe"].labels == (0.0,) * 6
    both = TorchAdapter(TwoInputs(), probe=(X, Y))  # the second is an input
    assert both.facts().probes["probe"].labels == ()
    assert list(both.inputs("probe")) == ["0", "1"]


class Answers(nn.Module):
    """As transformers do: nothing is required, and a loss comes before the predictions, in a dict."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)

    def forward(self, x=None, labels=None):
        found = self.linear(x)
        return {"loss": found.mean(), "tokens": x[:, 0].long(), "logits": found, "hidden": (x, x)}


def test_the_prediction_is_the_first_row_of_numbers_for_each_sample():
    model = Answers()
    found = TorchAdapter(model, probe=X).probe().outputs
    np.testing.assert_array_equal(found[""], model.linear(X).detach())
    assert TorchAdapter(model, probe=(X, LABELS)).facts().probes["probe"].labels == (0.0,) * 6
    models = {"G": nn.Linear(2, 4), "D": nn.Linear(4, 1)}
    adapter = TorchAdapter(models, probe={"G": X, "D": torch.ones(3, 4)})
    assert {name: x.shape for name, x in adapter.probe().outputs.items()} == {"G": (6, 4), "D": (3, 1)}
    assert list(adapter.inputs("probe")) == ["G", "D"]


def test_several_probes_have_layers_and_passes_of_their_own():
    model = Residual()
    images = torch.randn(7, 1, 4, 4)
    adapter = TorchAdapter(model, probe={"a": Probe(images), "b": Probe(images[:3] * 2)})
    facts = adapter.facts()
    assert list(facts.probes) == ["a", "b"]
    assert (facts.default_probe, facts.probe_samples, facts.seen_by("b").probe_samples) == ("a", 7, 3)
    assert facts.layers == facts.probes["a"].layers == facts.probes["b"].layers
    passes = []
    handle = model.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    second = adapter.probe("b")
    handle.remove()
    assert passes == [3]
    alone = TorchAdapter(model, probe=images[:3] * 2).probe()
    for name, activation in alone.activations.items():
        np.testing.assert_array_equal(second.activations[name], activation)
    np.testing.assert_array_equal(second.outputs[""], alone.outputs[""])


def test_several_models_have_a_probe_each():
    adapter = TorchAdapter({"G": nn.Linear(2, 4), "D": nn.Linear(4, 1)}, probe={"G": X, "D": torch.ones(3, 4)})
    assert {name: len(x) for name, x in adapter.probe().activations.items()} == {"G": 6, "D": 3}


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (torch.ones(3, 9), "probe: TwoInputs failed on \\(3, 9\\): TypeError"),
        ((torch.ones(3, 9), Y[:3]), "failed on \\(3, 9\\), \\(3, 4\\): RuntimeError: .*mat1 and mat2"),
        ({"x": X, "z": Y}, "unexpected keyword argument 'z'"),
        (["a", "b"], "gets no tensor with a sample dimension: str, str"),
    ],
)
def test_a_probe_that_the_model_does_not_take(probe, said):
    with pytest.raises(RecordError, match=said):
        TorchAdapter(TwoInputs(), probe=probe).facts()


def test_a_probe_for_models_that_there_are_not():
    models = {"G": nn.Linear(2, 1), "D": nn.Linear(2, 1)}
    with pytest.raises(RecordError, match="no model is called \\['E'\\]; models: G, D"):
        TorchAdapter(models, probe={"G": X, "E": X})
    with pytest.raises(RecordError, match="dict \\{model name: inputs\\}, got Tensor; models: G, D"):
        TorchAdapter(models, probe=X)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["conv1"], ["conv1"]),
        (["conv*", "head.1"], ["conv1", "conv2", "head.1"]),
        ([nn.Linear, nn.BatchNorm2d], ["bn1", "head.0"]),
        (["Linear", "BatchNorm2d"], ["bn1", "head.0"]),
        (["head"], ["head"]),
        (["dropout"], ["dropout"]),
        (["Residual"], ["Residual"]),
    ],
)
def test_layers_by_name_glob_and_class(wanted, names):
    assert list(TorchAdapter(Residual(), probe=torch.randn(2, 1, 4, 4), layers=wanted).probe().activations) == names


def test_a_layer_that_there_is_not():
    with pytest.raises(RecordError, match="layers: nothing matches 'layer9'; the model has Residual, conv1, bn1"):
        TorchAdapter(Residual(), probe=torch.randn(2, 1, 4, 4), layers=["layer9"])


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.act = nn.Embedding(9, 8), nn.LayerNorm(8), nn.GELU()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lstm, self.cell = nn.LSTM(8, 6), nn.Linear(8, 8)

    def forward(self, tokens):
        x = self.act(self.norm(self.embedding(tokens)))
        x, _ = self.attention(x, x, x)
        self.lstm(x.transpose(0, 1))
        for _ in range(10):
            x = self.cell(x)
        return x


def test_tokens_units_come_first_and_limits_are_said():
    adapter = TorchAdapter(Sequence(), probe=torch.zeros(5, 3, dtype=torch.long))
    found = {layer.name: layer.shape for layer in adapter.facts().layers}
    assert found == {
        **dict.fromkeys(["embedding", "norm", "act", "attention", "cell"], (8, 3)),
        **{f"cell:{k}": (8, 3) for k in range(2, CALLS + 1)},
    }
    adapter.attach(Plan)
    texts = [text for _, text in adapter.collect({})().notes]
    adapter.detach()
    assert texts == [
        "layer 'lstm' gives (3, 5, 6), not (5 samples, ...): not probed",
        f"layer 'cell': only its first {CALLS} calls in a forward pass are probed",
    ]


def test_a_model_without_a_probe_has_no_layers():
    adapter = TorchAdapter(nn.Linear(2, 1))
    assert adapter.facts().layers == ()
    assert adapter.probe() == ({}, {})
