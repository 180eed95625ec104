"""Tensors measured by their addresses: the same numbers as of arrays, whatever becomes of memory between updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recorder.adapters.torch.host import HostPass
from recorder.analysis import signs, statistics
from recorder.reading import OF_SIGNS, OF_TURNS, Plan, Statistic

NAMES = "abcdefg"
LIGHT = Plan(frozenset({Statistic.GRADIENT_NORM, Statistic.WEIGHT_NORM}), keep_weights=True)
CHANGE = Plan(frozenset({Statistic.UPDATE_NORM, Statistic.GRADIENT_NONFINITE}))
SIGNS = Plan(OF_SIGNS | {Statistic.UPDATE_NORM, Statistic.NEAR_ZERO_RELATIVE}, keep_signs=True, tau=(0.5, 0.1))
LAST = Plan(OF_SIGNS, tau=(0.5, 0.1))
HISTOGRAMS = Plan(frozenset(map(Statistic, statistics.HISTOGRAMS)), keep_weights=True)
TURNS = Plan(OF_TURNS | OF_SIGNS, keep_turns=True, tau=(0.5, 0.1))
PLANS = [LIGHT, CHANGE, SIGNS, SIGNS, LAST, HISTOGRAMS, TURNS, Plan()]
KINDS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def parameter(x: torch.Tensor, gradient: torch.Tensor | None) -> torch.nn.Parameter:
    found = torch.nn.Parameter(x)
    found.grad = gradient
    return found


def trained(p: torch.nn.Parameter, gradient: torch.Tensor) -> None:
    p.grad = None
    p.grad = gradient.to(p.dtype)
    if p.is_contiguous():
        with torch.no_grad():
            p -= p.grad


def swapped(p: torch.nn.Parameter, x: torch.Tensor, gradient: torch.Tensor) -> None:
    p.grad = None
    p.data = x
    p.grad = gradient


CHANGES = {  # what becomes of a tensor of 6 x 70 before its next update
    "trained": lambda p, r: trained(p, r(p.shape)),
    "set to none": lambda p, _: setattr(p, "grad", None),
    "given other memory": lambda p, r: swapped(p, p.data.clone(), r(p.shape).to(p.dtype)),
    "transposed": lambda p, r: swapped(p, r(70, 6).to(p.dtype).T, r(6, 70).to(p.dtype)),
    "with a gradient that is": lambda p, r: swapped(p, p.data, r(p.shape[::-1]).to(p.dtype).T),
    "of another type": lambda p, r: swapped(p, r(6, 70).double(), r(6, 70).double()),
    "of 16 bits": lambda p, r: swapped(p, r(6, 70).bfloat16(), r(6, 70).bfloat16()),
    "of another type than its gradient": lambda p, r: setattr(p, "data", other_type(p.data)),
    "of another size than its gradient": lambda p, r: setattr(p, "data", r(9, 500).to(p.dtype)),
    "made small": lambda p, r: swapped(p, r(1, 3), r(1, 3)),
    "made large": lambda p, r: swapped(p, r(9, 500), r(9, 500)),
    "empty": lambda p, r: swapped(p, r(0, 3), r(0, 3)),
    "expanded": lambda p, r: swapped(p, r(1, 1).expand(60, 70), r(1, 1).expand(60, 70)),
    "sparse": lambda p, r: swapped(p, r(6, 70), r(6, 70).relu().to_sparse()),
    "negated when it is read": lambda p, r: swapped(p, r(6, 70), torch._neg_view(r(6, 70))),
    "complex": lambda p, r: swapped(p, torch.complex(r(6, 70), r(6, 70)), torch.complex(r(6, 70), r(6, 70))),
    "at an odd address": lambda p, r: swapped(p, odd(r(6, 70)), odd(r(6, 70))),
}  # fmt: skip


def other_type(x: torch.Tensor) -> torch.Tensor:
    return x.half() if x.dtype is torch.float64 else x.double()


def odd(x: torch.Tensor) -> torch.Tensor:
    memory = bytearray(4 * x.numel() + 1)
    found = torch.frombuffer(memory, dtype=torch.float32, count=x.numel(), offset=1).reshape(x.shape)
    return found.copy_(x)


def same(a: HostPass, b: HostPass) -> None:
    here, there = a.rows()(), b.rows()()
    np.testing.assert_array_equal(here.stepped, there.stepped)
    assert here.table.keys() == there.table.keys()
    for statistic, column in here.table.items():
        np.testing.assert_array_equal(column, there.table[statistic], err_msg=statistic.value)


def by_arrays(there: HostPass, monkeypatch: pytest.MonkeyPatch, plan: Plan, *rest: object) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(statistics, "is_compiled", lambda: False)
        there.update(plan, *rest)


def three(values):
    return st.lists(st.sampled_from(values), min_size=3, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(PLANS), three(list(CHANGES))), max_size=6), three(KINDS))
def test_whatever_becomes_of_the_memory(steps, kinds):
    torch.manual_seed(0)
    tensors = [parameter(torch.randn(6, 70).to(k), torch.randn(6, 70).to(k)) for k in kinds]
    places, arrays = HostPass(NAMES[:3]), HostPass(NAMES[:3])
    for plan, changes in [(SIGNS, ["trained"] * 3), *steps]:
        for p, change in zip(tensors, changes, strict=True):
            CHANGES[change](p, torch.randn)
        members = list(enumerate(tensors))
        places.update(plan, members, None, None)
        with pytest.MonkeyPatch.context() as patch:
            by_arrays(arrays, patch, plan, members, None, None)
        same(places, arrays)


def test_two_updates_in_one_iteration_and_a_loss_scale(monkeypatch):
    torch.manual_seed(0)
    members = [(k, parameter(torch.randn(100), torch.randn(100))) for k in range(4)]
    places, arrays = HostPass(NAMES[:4]), HostPass(NAMES[:4])
    for some in (members, members[1:3], members[2:]):
        for _ in range(2):
            for _, p in some:
                trained(p, torch.randn(100))
            places.update(SIGNS, some, torch.tensor(8.0), torch.tensor(0.0))
            by_arrays(arrays, monkeypatch, SIGNS, some, torch.tensor(8.0), torch.tensor(0.0))
        same(places, arrays)


def test_both_parameters_of_one_row_in_one_update():
    """A new one has taken the place of one that its optimizer still has: what is kept of it is not given back early."""
    one, other = (
        parameter(torch.ones(1000), torch.ones(1000)),
        parameter(torch.ones(1000).double(), torch.ones(1000).double()),
    )
    rows = HostPass("a")
    for _ in range(3):
        rows.update(SIGNS, [(0, one), (0, other), (0, one)], None, None)
    assert np.isnan(rows.rows()().table[Statistic.UPDATE_NORM]).all()


def test_plain_tensors_are_measured_by_one_call(monkeypatch):
    from recorder.analysis import compiled

    calls = []
    fused = compiled.fused
    monkeypatch.setattr(
        compiled, "fused", lambda like, layout, rows, *rest: calls.append(len(rows)) or fused(like, layout, rows, *rest)
    )
    members = [(k, parameter(torch.randn(10, 10), torch.randn(10, 10))) for k in range(5)]
    rows = HostPass(NAMES[:5])
    for _ in range(2):
        rows.update(SIGNS, members, None, None)
    assert calls == [5, 5]
    assert rows.rows()().table[Statistic(signs.NAMES[-1])].tolist() == 5 * [100]
