"""Tensors of every size: none, one and a hundred million entries, and those that several layers share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from recorder.adapters.torch.cuda import CudaPass
from recorder.reading import OF_QUANTILES, Plan, Statistic
from tests.adapters.watching import EVERYTHING, Watched, assert_measured, saved

S = Statistic


class OfOne(nn.Module):
    """A scalar, a vector of one entry, and a tensor of none."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.shift = nn.Parameter(torch.tensor([0.5]))
        self.empty = nn.Parameter(torch.zeros(0, 3))

    def forward(self, x):
        return self.scale * x + self.shift + self.empty.sum()


def test_every_statistic_of_tensors_of_one_entry():
    model = OfOne()
    optimizer = torch.optim.SGD(model.parameters(), 0.25)
    with Watched(model, optimizer=optimizer) as watched:
        before, rows = None, []
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.tensor([1.0, -3.0])).square().mean().backward()
            gradients, weights = saved(model)
            optimizer.step()
            rows.append(watched.step())
            assert_measured(watched, rows[-1], gradients, weights, before)
            before = weights
    for statistic in Statistic:
        assert len(rows[-1].table[statistic]) == 3
    angles, cosines = (rows[-1].table[s] for s in (S.GRADIENT_ANGLE, S.UPDATE_COSINE))
    assert set(angles[:2]) <= {0.0, 180.0}  # two numbers point the same way, or opposite ways
    np.testing.assert_allclose(np.cos(np.radians(angles[:2])), np.sign(cosines[:2]))
    assert np.isnan([angles[2], cosines[2]]).all()  # no entries, no direction
    np.testing.assert_array_equal(rows[-1].table[S.COMPARED], [1, 1, 0])
    np.testing.assert_array_equal(rows[-1].table[S.GRADIENT_HISTOGRAM].sum(axis=1), [1, 1, 0])
    assert rows[-1].table[S.SECANT_CURVATURE][0] == pytest.approx(np.full(5, rows[-1].table[S.SECANT_CURVATURE][0, 0]))


def test_a_shared_tensor_is_measured_once_with_the_gradient_of_all_its_uses():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            gradients, weights = saved(model)
            optimizer.step()
            assert list(gradients) == watched.names == ["0.weight", "0.bias", "2.bias"]
            assert_measured(watched, watched.step(), gradients, weights, before)
            before = weights


SIZE = 100_000_007
FAR = (0, (1 << 24) + 1, SIZE - 1)  # behind the last whole number that float32 counts to, and in the last odd word


def huge() -> torch.Tensor:
    """Untouched zeros take no memory; three entries are 3."""
    found = torch.zeros(SIZE)
    found[list(FAR)] = 3.0
    return found


def test_a_tensor_of_a_hundred_million_entries():
    model = nn.Module()
    model.weight = nn.Parameter(huge())
    model.weight.grad = huge()
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    norms = {S.GRADIENT_NORM, S.GRADIENT_NONFINITE, S.WEIGHT_NORM, S.GRADIENT_HISTOGRAM, S.NEAR_ZERO}
    compared = {S.NEAR_ZERO_RETAINED, S.SIGN_FLIPS, S.MINIMA, S.MAXIMA, S.UPDATE_NORM, S.COMPARED}
    with Watched(model, Plan(frozenset(norms), keep_weights=True, keep_signs=True), optimizer=optimizer) as watched:
        optimizer.step()
        first = watched.step().table
        assert first[S.GRADIENT_NORM][0] == first[S.WEIGHT_NORM][0] == pytest.approx(math.sqrt(27))
        assert first[S.NEAR_ZERO][0] == SIZE - 3
        assert first[S.GRADIENT_HISTOGRAM][0].sum() == SIZE
        with torch.no_grad():
            model.weight[FAR[1]] += 1.0
            model.weight.grad[list(FAR)] = -1.0
        watched.plan = Plan(frozenset(compared))
        optimizer.step()
        second = watched.step().table
    assert second[S.UPDATE_NORM][0] == 1.0
    assert second[S.SIGN_FLIPS][0] == 3
    assert (second[S.MINIMA][0], second[S.MAXIMA][0]) == (0, 1)  # the gradient fell while the weight rose
    assert second[S.NEAR_ZERO_RETAINED][0] == SIZE - 3
    assert second[S.COMPARED][0] == SIZE


def test_the_pass_of_a_gpu_counts_as_far():
    """In one portion of what is looked at together and a bit of the next; a hundred million take minutes on a CPU."""
    size = (1 << 24) + 1025
    weight = torch.zeros(size)
    weight.grad = torch.zeros(size)
    weight.grad[[0, size - 1]] = 3.0
    there = CudaPass(["weight"])
    there.update(Plan(frozenset({S.GRADIENT_NORM, S.NEAR_ZERO})), [(0, weight)], None, None)
    table = there.rows()().table
    assert table[S.GRADIENT_NORM][0] == pytest.approx(math.sqrt(18))
    assert table[S.NEAR_ZERO][0] == size - 2


def test_quantiles_of_one_entry_are_that_entry():
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, EVERYTHING, optimizer=optimizer) as watched:
        for _ in range(2):
            optimizer.zero_grad()
            (2.0 * model(torch.ones(1, 1))).square().sum().backward()  # L = 4 w^2, so dg/dw = 8
            optimizer.step()
            row = watched.step()
    assert set(row.table) >= OF_QUANTILES
    np.testing.assert_allclose(row.table[S.SECANT_CURVATURE][0], np.full(5, 8.0), rtol=1e-5)
