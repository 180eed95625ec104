"""An adapter driven as the recorder drives it, and the same numbers taken by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from recorder.adapters.rows import no_row
from recorder.adapters.torch.adapter import TorchAdapter
from recorder.reading import AVERAGED, Collected, Plan, Statistic

EVERYTHING = Plan(frozenset(Statistic), keep_weights=True, keep_signs=True, keep_turns=True)
EVERYTHING = replace(EVERYTHING, averages=replace(EVERYTHING, statistics=frozenset(AVERAGED.values())))
NOTHING = Plan()

Tensors = dict[str, np.ndarray]


class Watched:
    """`with Watched(model) as watched: ...; row = watched.step()` — every statistic, unless `plan` is changed."""

    def __init__(self, model: Any, plan: Plan = EVERYTHING, **options: Any) -> None:
        self.plan = plan
        self.adapter = TorchAdapter(model, **options)
        self.names = [t.name for t in self.adapter.facts().tensors]

    def __enter__(self) -> Watched:
        self.adapter.attach(lambda: self.plan)
        return self

    def __exit__(self, *_: object) -> None:
        self.adapter.detach()

    def step(self, **scalars: Any) -> Collected:
        return self.adapter.collect(scalars)()

    def column(self, row: Collected, statistic: Statistic) -> dict[str, Any]:
        """By tensor; an iteration without an update has no columns, which means no row of any tensor."""
        column = row.table[statistic] if row.table else no_row(statistic, len(self.names))
        return dict(zip(self.names, column, strict=True))


def saved(model: torch.nn.Module) -> tuple[Tensors, Tensors]:
    """-> copies of the gradients and of the weights, as float64; no entry where there is no gradient."""
    gradients, weights = {}, {}
    for name, p in model.named_parameters():
        name = name.replace("_orig_mod.", "")
        if p.grad is not None:
            dense = p.grad.to_dense() if p.grad.is_sparse else p.grad
            gradients[name] = dense.detach().double().numpy().copy()
        weights[name] = p.detach().double().numpy().copy()
    return gradients, weights


def norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x.astype(np.float64).ravel()))


def assert_measured(
    watched: Watched, row: Collected, gradients: Tensors, weights: Tensors, before: Tensors | None = None
) -> None:
    """The row is that of an update with these gradients at these weights; other tensors did not step."""
    stepped = dict(zip(watched.names, row.stepped, strict=True))
    assert {name for name, is_so in stepped.items() if is_so} == set(gradients)
    norms = watched.column(row, Statistic.GRADIENT_NORM)
    weight_norms = watched.column(row, Statistic.WEIGHT_NORM)
    update_norms = watched.column(row, Statistic.UPDATE_NORM)
    histograms = watched.column(row, Statistic.GRADIENT_HISTOGRAM)
    for name in watched.names:
        if name not in gradients:
            assert np.isnan(norms[name])
            assert np.isnan(weight_norms[name])
            assert histograms[name].sum() == 0
            continue
        np.testing.assert_allclose(norms[name], norm(gradients[name]), rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(weight_norms[name], norm(weights[name]), rtol=1e-6, err_msg=name)
        assert histograms[name].sum() == gradients[name].size
        if before is None or name not in before:
            assert np.isnan(update_norms[name])
        else:
            change = weights[name] - before[name]
            np.testing.assert_allclose(update_norms[name], norm(change), rtol=1e-6, atol=1e-12, err_msg=name)
