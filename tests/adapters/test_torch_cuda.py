"""The GPU's pass gives the host's numbers; on a machine with a GPU it runs there too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from recorder.adapters.torch.adapter import TorchAdapter
from recorder.adapters.torch.cuda import CudaPass, later
from recorder.adapters.torch.host import HostPass, Members
from recorder.adapters.torch.statistics import counts, nonfinite, norms
from recorder.analysis import histogram
from recorder.reading import AVERAGED, OF_TURNS, Statistic
from tests.adapters.watching import EVERYTHING, NOTHING

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
NORMS = {
    Statistic.GRADIENT_NORM, Statistic.WEIGHT_NORM, Statistic.UPDATE_NORM, *OF_TURNS,
    Statistic.AVERAGE_GRADIENT_NORM, Statistic.AVERAGE_UPDATE_NORM,
    *(average for average, plain in AVERAGED.items() if plain in OF_TURNS),
}  # fmt: skip

on_devices = pytest.mark.parametrize("device", DEVICES)


def members(device: str, dtype: torch.dtype, seed: int = 0) -> Members:
    """Tensors of several shapes with gradients; one without; one with values that are not finite; one sparse."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i, shape in enumerate([(3, 4), (5,), (1,), (7, 2, 3), (30, 2)]):
        parameter = nn.Parameter(torch.randn(shape, generator=generator).to(device, dtype))
        if i != 1:
            parameter.grad = torch.randn(shape, generator=generator).to(device, dtype) * 1e-3
        found.append((i, parameter))
    found[3][1].grad[0, 0, 0] = torch.inf
    found[3][1].grad[0, 1, 0] = torch.nan
    if dtype is torch.float32:
        indices = torch.tensor([[2, 2, 9]])
        found[4][1].grad = torch.sparse_coo_tensor(indices, torch.ones(3, 2), (30, 2), check_invariants=True).to(device)
    return found


def assert_same(found, expected) -> None:
    np.testing.assert_array_equal(found.stepped, expected.stepped)
    assert set(found.table) == set(expected.table)
    for statistic, column in expected.table.items():
        if statistic in NORMS:
            np.testing.assert_allclose(found.table[statistic], column, rtol=1e-6, err_msg=str(statistic))
        else:
            np.testing.assert_array_equal(found.table[statistic], column, err_msg=str(statistic))
    assert (found.norms_before is None) == (expected.norms_before is None)
    if found.norms_before is not None:
        np.testing.assert_allclose(found.norms_before, expected.norms_before, rtol=1e-6)
    assert set(found.raw) == set(expected.raw)
    for key, raw in expected.raw.items():
        np.testing.assert_allclose(found.raw[key], raw, rtol=1e-6, err_msg=str(key))


@on_devices
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [None, 64.0])
def test_same_rows_as_on_the_host(device, dtype, scale):
    names = [f"tensor{i}" for i in range(6)]
    raw = frozenset((q, n) for q in ("gradient", "weight", "update") for n in names[:2])
    host, gpu = HostPass(names), CudaPass(names)
    for seed, plan in enumerate([EVERYTHING, replace(EVERYTHING, raw=raw), EVERYTHING, NOTHING, EVERYTHING]):
        there, here = members(device, dtype, seed), members("cpu", dtype, seed)
        skipped = torch.zeros((), device=device) if seed == 2 else None
        gpu.update(plan, there, None if scale is None else torch.tensor(scale, device=device), skipped)
        host.update(plan, here, None if scale is None else torch.tensor(scale), None)
        assert_same(gpu.rows()(), host.rows()())
    gpu.look(EVERYTHING, members(device, dtype))
    host.look(EVERYTHING, members("cpu", dtype))
    looked, expected = gpu.rows()(), host.rows()()
    for statistic in (Statistic.WEIGHT_NORM, Statistic.UPDATE_NORM):
        np.testing.assert_allclose(looked.table[statistic], expected.table[statistic], rtol=1e-6)


@on_devices
def test_a_skipped_update_has_no_row(device):
    gpu = CudaPass(["a", "b"])
    first, second = ([(i, members(device, torch.float32)[0][1])] for i in (0, 1))
    gpu.update(EVERYTHING, first, None, torch.ones((), device=device))
    gpu.update(EVERYTHING, second, None, torch.zeros((), device=device))
    rows = gpu.rows()()
    assert rows.stepped.tolist() == [False, True]
    np.testing.assert_array_equal(np.isnan(rows.table[Statistic.GRADIENT_NORM]), [True, False])


@on_devices
@pytest.mark.parametrize("small", [False, True])
def test_same_rows_whatever_is_skipped(device, small, monkeypatch):
    """The first update, one of several in an iteration; with ties at tau, and large tensors in pieces."""
    if small:
        for module, entries in (("signs", 1024), ("turns", 500), ("statistics", 700)):
            monkeypatch.setattr(f"recorder.adapters.torch.{module}.PORTION", entries)
    shapes = [(0,), (), (1,), (63,), (65,), (1025,), (4, 3, 5, 5), (2049,)]
    dtypes = [torch.float64, torch.float32, torch.bfloat16, torch.complex64, *[torch.float32] * 4]
    generator = torch.Generator().manual_seed(0)
    here = [nn.Parameter(torch.randn(s, generator=generator).to(d)) for s, d in zip(shapes, dtypes, strict=True)]
    here[6].data = here[6].data.to(memory_format=torch.channels_last)
    names = [f"tensor{i}" for i in range(len(here))]
    raw = replace(EVERYTHING, raw=frozenset((q, n) for q in ("gradient", "weight", "update") for n in names[1:]))
    host, gpu = HostPass(names), CudaPass(names)
    for k, skips in enumerate(([1], [1, 0], [0], [0, 1], [1], [None], [0, 0, 1], [1, 0])):
        first = int(k < 2)  # the length of nothing is 0, also of nothing that was seen
        for skip in skips:
            for p in here:
                ties = torch.tensor([0.0, -0.0, 1e-5, -1e-5, 1e-7, -1e-7, 1.0, -1.0])
                drawn = ties[torch.randint(8, p.shape, generator=generator)].to(p.dtype)
                p.grad = drawn if p.numel() else torch.zeros_like(p)
            there = [nn.Parameter(p.detach().to(device)) for p in here]
            for p, own in zip(there, here, strict=True):
                p.grad = own.grad.to(device)
            found = None if skip is None else torch.tensor([float(skip)])
            with torch.device("meta"):  # the user's default device is none of ours
                gpu.update(raw, list(enumerate(there))[first:], None, None if found is None else found.to(device))
                host.update(raw, list(enumerate(here))[first:], None, found)
            if not skip:
                with torch.no_grad():
                    for p in here:
                        p -= p.grad * 0.1
        measured, expected = gpu.rows()(), host.rows()()
        if 0 in skips or None in skips:
            for key in measured.raw.keys() - expected.raw.keys():  # as what is not there is stored
                assert key[0] == "update"
                assert np.isnan(measured.raw.pop(key)).all()
            assert_same(measured, expected)
        else:
            assert not measured.stepped.any()
            assert not expected.stepped.any()


@on_devices
def test_a_weight_that_is_not_a_number(device):
    host, gpu = HostPass(["a"]), CudaPass(["a"])
    for k in range(3):
        weight = torch.arange(4.0) * k
        weight[0] = torch.nan if k else 0.0
        for p, there in ((nn.Parameter(weight), host), (nn.Parameter(weight.to(device)), gpu)):
            p.grad = torch.zeros_like(p)
            there.update(EVERYTHING, [(0, p)], None, None)
        assert_same(gpu.rows()(), host.rows()())


@on_devices
def test_a_gradient_with_a_graph_leaves_none_behind(device, monkeypatch):
    sent = []
    monkeypatch.setattr("recorder.adapters.torch.cuda.later", lambda tensor: sent.append(tensor) or later(tensor))
    parameter = nn.Parameter(torch.randn(5, device=device))
    gpu = CudaPass(["a"])
    for _ in range(2):
        (parameter.grad,) = torch.autograd.grad(parameter.pow(3).sum(), parameter, create_graph=True)
        gpu.update(replace(EVERYTHING, raw=frozenset({("weight", "a")})), [(0, parameter)], None, None)
    assert not any(tensor.requires_grad for tensor in sent)


@on_devices
@given(arrays(np.uint32, st.integers(0, 200)))
def test_counts_are_the_same_integers(device, bits):
    values = bits.view(np.float32)
    found = counts(torch.from_numpy(values.copy()).to(device), values.size + 3).cpu().numpy()
    expected = histogram.counts(values)
    expected[histogram.CENTRE] += 3
    np.testing.assert_array_equal(found, expected)


@on_devices
def test_counts_in_portions(device, monkeypatch):
    monkeypatch.setattr("recorder.adapters.torch.statistics.PORTION", 7)
    values = torch.randn(100)
    np.testing.assert_array_equal(counts(values.to(device), 100).cpu(), histogram.counts(values.numpy()))


@on_devices
def test_norms_in_float64_and_every_entry_that_is_not_finite(device):
    tensors = [torch.tensor(x, device=device) for x in ([1e-30, 1e-30], [torch.nan, torch.inf, -torch.inf, 1.0], [0.0])]
    np.testing.assert_allclose(norms(tensors).cpu(), [np.sqrt(2) * 1e-30, np.nan, 0.0], rtol=1e-6)
    assert nonfinite(tensors).tolist() == [0, 3, 0]


@on_devices
def test_a_later_copy_is_of_what_was(device):
    x = torch.arange(5.0, device=device)
    copied = later(x)
    x.zero_()
    assert copied().tolist() == [0, 1, 2, 3, 4]


@on_devices
def test_training_on_the_device(device):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Linear(8, 2)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    adapter = TorchAdapter(model, optimizer=optimizer, probe=torch.randn(6, 4))
    assert adapter.lag == (device == "cuda")
    adapter.attach(lambda: EVERYTHING)
    thunks, expected = [], []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(torch.randn(16, 4, device=device)).square().mean()
        loss.backward()
        whole = nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        expected.append((whole.item(), [p.grad.norm().item() for p in model.parameters()], loss.item()))
        thunks.append(adapter.collect({"loss": loss}))
    for thunk, (whole, norms_, loss) in zip(thunks, expected, strict=True):  # read late, as the recorder does
        row = thunk()
        np.testing.assert_allclose(row.table[Statistic.GRADIENT_NORM], norms_, rtol=1e-5)
        assert row.scalars["gradient_norm_before_clipping"] == pytest.approx(whole, rel=1e-6)
        assert row.scalars["clip_factor"] == pytest.approx(0.01 / (whole + 1e-6), rel=1e-5)
        assert row.scalars["loss"] == pytest.approx(loss)
    assert adapter.probe().activations["2"].min() >= 0
    adapter.detach()


@on_devices
@pytest.mark.parametrize("fused", [False, True])
def test_the_gradient_scaler_on_the_device(device, fused):
    model = nn.Linear(4, 2).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 0.01, fused=fused)
    scaler = torch.amp.GradScaler(device, init_scale=256.0)
    adapter = TorchAdapter(model, optimizer=optimizer)
    adapter.attach(lambda: EVERYTHING)
    for step in range(3):
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(3, 4, device=device)).square().mean()).backward()
        expected = model.weight.grad.norm().item() / scaler.get_scale()
        if step == 1:
            model.weight.grad[0] = torch.inf
        scaler.step(optimizer)
        scaler.update()
        row = adapter.collect({})()
        assert row.stepped.all() == (step != 1)
        assert len(row.notes) == (step == 1)
        if step != 1:
            assert row.table[Statistic.GRADIENT_NORM][0] == pytest.approx(expected, rel=1e-5)
    adapter.detach()
