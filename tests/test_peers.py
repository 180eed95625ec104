"""What the benchmark compares with counts the same: otherwise its ratios would mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.peers import COLUMNS, numpy_callback, numpy_operations, torch_operations
from recorder.adapters.rows import HostRows, Update
from recorder.reading import Plan, Statistic

WANTED = frozenset(map(Statistic, COLUMNS))


def numbers(watch_of, steps: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """-> ours and the peer's (step, tensor, column) of one training"""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5))
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
    rows = HostRows([name for name, _ in model.named_parameters()])
    plan = Plan(WANTED, keep_weights=True, keep_signs=True)
    ours, theirs = [], []
    with watch_of(model, optimizer, None) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = 1e-4 * model(torch.randn(8, 20)).square().mean()
            loss.backward()
            theirs.append(np.array(watch(loss.item())))
            tensors = enumerate(model.parameters())
            rows.measure(plan, [Update(i, p.detach().numpy(), p.grad.numpy()) for i, p in tensors])
            table = rows.end().table
            ours.append(np.stack([table[Statistic(name)] for name in COLUMNS], axis=-1))
            optimizer.step()
    return np.array(ours), np.array(theirs)


@pytest.mark.parametrize("peer", [torch_operations, numpy_operations])
def test_tensor_by_tensor(peer):
    ours, theirs = numbers(peer)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)
    assert (ours[1:].sum(axis=(0, 1))[1:-1] > 0).sum() >= 8  # it is no comparison of nothing


def test_all_tensors_in_one_vector():
    ours, theirs = numbers(numpy_callback)
    counts = slice(1, -1)
    np.testing.assert_array_equal(theirs[:, counts], ours[..., counts].sum(axis=1))
    for column in (0, -1):
        np.testing.assert_allclose(theirs[1:, column] ** 2, (ours[1:, :, column] ** 2).sum(axis=1), rtol=1e-5)
