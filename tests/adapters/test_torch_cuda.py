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
