"""The reference adapter, and that torch's numbers are its numbers."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recorder.adapters.numpy import NumpyAdapter
from recorder.adapters.torch.adapter import TorchAdapter
from recorder.errors import RecordError
from recorder.reading import Plan, Statistic
from tests.adapters.nets import GradientDescent, NumpyNet
from tests.adapters.watching import EVERYTHING, norm


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def net(rng):
    return NumpyNet(rng)


def test_every_statistic_equals_that_of_torch(net, rng):
    """Parity of the adapters: the same net, the same data, the same updates."""
    twin = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    twin.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in net.parameters.items()})
    probe = rng.standard_normal((5, 4)).astype(np.float32)
    ours, theirs = GradientDescent(net, 0.1), torch.optim.SGD(twin.parameters(), 0.1)
    reference = NumpyAdapter(net, optimizer=ours, probe=probe)
    adapter = TorchAdapter(twin, optimizer=theirs, probe=probe)
    assert [(t.name, t.shape, t.dtype, t.layer) for t in reference.facts().tensors] == [
        (t.name, t.shape, t.dtype, t.layer) for t in adapter.facts().tensors
    ]
    raw = frozenset((q, n) for q in ("gradient", "weight", "update") for n in net.parameters)
    plan = Plan(frozenset(Statistic), keep_weights=True, raw=raw)
    for one in (reference, adapter):
        one.attach(lambda: plan)
    for _ in range(4):
        x = rng.standard_normal((16, 4)).astype(np.float32)
        loss = net.backward(x)
        ours.step()
        theirs.zero_grad()
        torch_loss = twin(torch.from_numpy(x)).square().mean()
        torch_loss.backward()
        theirs.step()
        expected, found = reference.collect({"loss": loss})(), adapter.collect({"loss": torch_loss})()
        np.testing.assert_array_equal(found.stepped, expected.stepped)
        assert found.scalars.keys() == expected.scalars.keys()
        assert found.scalars["loss"] == pytest.approx(expected.scalars["loss"], rel=1e-5)
        for statistic in Statistic:
            if "histogram" in statistic.value:  # an entry at an edge may fall on either side of it after rounding
                assert np.abs(found.table[statistic] - expected.table[statistic]).sum() <= 2
            else:
                np.testing.assert_allclose(
                    found.table[statistic], expected.table[statistic], rtol=1e-4, atol=1e-7, err_msg=str(statistic)
                )
        for key in expected.raw:
            np.testing.assert_allclose(found.raw[key], expected.raw[key], rtol=1e-4, atol=1e-6, err_msg=str(key))
    for name, activation in reference.probe().activations.items():
        np.testing.assert_allclose(adapter.probe().activations[name], activation, rtol=1e-4, atol=1e-6)
    end, torch_end = reference.read(plan), adapter.read(plan)
    np.testing.assert_allclose(torch_end.table[Statistic.UPDATE_NORM], end.table[Statistic.UPDATE_NORM], rtol=1e-4)
    adapter.detach()
    reference.detach()


def test_numbers_of_the_update(net, rng):
    optimizer = GradientDescent(net, 0.5)
    adapter = NumpyAdapter(net, optimizer=optimizer)
    adapter.attach(lambda: EVERYTHING)
    net.backward(rng.standard_normal((16, 4)).astype(np.float32))
    gradient, weight = net.gradients["0.weight"].copy(), net.parameters["0.weight"].copy()
    assert optimizer.step() == "stepped"
    row = adapter.collect({"accuracy": np.float32(0.5)})()
    assert row.table[Statistic.GRADIENT_NORM][0] == pytest.approx(norm(gradient), rel=1e-6)
    assert row.table[Statistic.WEIGHT_NORM][0] == pytest.approx(norm(weight), rel=1e-6)
    assert row.scalars == {"learning_rate": 0.5, "accuracy": 0.5}
    row = adapter.collect({})()
    assert not row.stepped.any()
    assert not row.table
    adapter.detach()


def test_a_tensor_without_a_gradient_did_not_step(net, rng):
    optimizer = GradientDescent(net, 0.5)
    adapter = NumpyAdapter(net, optimizer=optimizer)
    adapter.attach(lambda: EVERYTHING)
    net.backward(rng.standard_normal((16, 4)).astype(np.float32))
    del net.gradients["2.bias"]
    optimizer.step()
    assert adapter.collect({})().stepped.tolist() == [True, True, True, False]
    adapter.detach()


def test_the_optimizer_is_as_it_was(net):
    optimizer = GradientDescent(net, 0.5)
    adapter = NumpyAdapter(net, optimizer=optimizer)
    before = dict(vars(optimizer))
    adapter.attach(lambda: EVERYTHING)
    copy.deepcopy(net)
    assert "step" in vars(optimizer)
    adapter.detach()
    adapter.detach()
    assert vars(optimizer) == before
    optimizer.step = own = lambda: "own"
    adapter.attach(lambda: EVERYTHING)
    assert optimizer.step() == "own"
    adapter.detach()
    assert optimizer.step is own


@pytest.mark.parametrize(("rate", "recorded"), [(np.array([0.5]), {"learning_rate": 0.5}), ("cosine", {})])
def test_a_learning_rate_is_recorded_if_it_is_one_number(net, rate, recorded):
    adapter = NumpyAdapter(net, optimizer=GradientDescent(net, rate))
    adapter.attach(Plan)
    assert adapter.collect({})().scalars == recorded


def test_a_failure_is_raised_to_the_recorder_and_never_to_the_training(net):
    optimizer = GradientDescent(net, 0.5)
    adapter = NumpyAdapter(net, optimizer=optimizer)
    adapter.attach(lambda: 1 // 0)
    assert optimizer.step() == "stepped"
    with pytest.raises(ZeroDivisionError):
        adapter.collect({})
    adapter.detach()


def test_layers_and_probe(net, rng):
    probe = rng.standard_normal((5, 4)).astype(np.float32)
    adapter = NumpyAdapter(net, optimizer=GradientDescent(net, 1), probe=(probe, np.zeros(5)), layers=["[12]"])
    assert [(layer.name, layer.shape) for layer in adapter.facts().layers] == [("1", (8,)), ("2", (2,))]
    assert adapter.facts().probe_samples == 5
    with pytest.raises(RecordError, match="nothing matches 'conv'; the model has 0, 1, 2"):
        NumpyAdapter(net, optimizer=GradientDescent(net, 1), probe=probe, layers=["conv"]).facts()


def test_mistakes_at_the_door(net):
    with pytest.raises(RecordError, match="NumpyNet has no step\\(\\) to watch; give as optimizer"):
        NumpyAdapter(net)
    bare = SimpleNamespace(parameters=net.parameters, gradients={})
    with pytest.raises(RecordError, match="SimpleNamespace has no forward"):
        NumpyAdapter(bare, optimizer=GradientDescent(net, 1), probe=np.ones((2, 4)))


def test_a_checkpoint_is_an_npz(net, tmp_path):
    NumpyAdapter(net, optimizer=GradientDescent(net, 1)).save(tmp_path / "step.npz")
    with np.load(tmp_path / "step.npz") as loaded:
        assert {name: loaded[name].tolist() for name in loaded} == {n: w.tolist() for n, w in net.parameters.items()}


def test_a_tensor_that_comes_later_has_a_row_behind_the_others(net, rng):
    optimizer = GradientDescent(net, 0.1)
    adapter = NumpyAdapter(net, optimizer=optimizer)
    adapter.attach(lambda: EVERYTHING)
    x = rng.standard_normal((16, 4)).astype(np.float32)
    net.backward(x)
    optimizer.step()
    known = len(net.parameters)
    assert len(adapter.collect({})().stepped) == known
    net.backward(x)
    optimizer.step()
    net.parameters["late"], net.gradients["late"] = np.ones(4), np.full(4, 3.0)
    optimizer.step()  # a second update in one iteration
    row = adapter.collect({})()
    assert [(t.name, t.shape) for t in row.arrived] == [("late", (4,))]
    assert row.stepped.all()
    norms = row.table[Statistic.GRADIENT_NORM]
    np.testing.assert_allclose(norms, [norm(net.gradients[n]) for n in net.parameters], rtol=1e-6)
    assert len(norms) == known + 1
    assert adapter.read(EVERYTHING).arrived == ()
