"""A small net, its data, and its training by hand: what every framework's training is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SAMPLES, BATCH, EPOCHS = 24, 4, 3
BATCHES = SAMPLES // BATCH  # an epoch
RATE = 0.1


def net() -> nn.Sequential:
    """With everything that a look at it could disturb: batch statistics and the random state of dropout."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 2))


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(SAMPLES, 5, generator=generator)
    return TensorDataset(x, (x.sum(dim=1) > 0).long())


def loader() -> DataLoader:
    return DataLoader(data(), BATCH, shuffle=False)


def probe() -> torch.Tensor:
    return data().tensors[0][:6]


def loss_of(answers: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(answers, y)


class Saved:
    """The gradients and weights of each update, by hand, as the optimizer is about to use them."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def save(self) -> None:
        named = dict(self._model.named_parameters())
        self.gradients.append({name: p.grad.detach().clone() for name, p in named.items() if p.grad is not None})
        self.weights.append({name: p.detach().clone() for name, p in named.items()})

    def norms(self, names: tuple[str, ...]) -> Iterator[list[float]]:
        """(update, tensor) -> the gradient's norm; NaN for a tensor that has none."""
        for row in self.gradients:
            yield [float(row[name].double().norm()) if name in row else float("nan") for name in names]


def by_hand(
    *,
    epochs: int = EPOCHS,
    accumulate: int = 1,
    clip: float | None = None,
    each: Callable[[int], Any] = lambda step: None,
) -> tuple[nn.Module, Saved, list[float]]:
    """-> the trained net, what was saved, the loss of each batch"""
    model = net()
    torch.manual_seed(2)  # of dropout
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    saved, losses = Saved(model), []
    for _ in range(epochs):
        for k, (x, y) in enumerate(loader()):
            loss = loss_of(model(x), y)
            losses.append(float(loss.detach()))
            (loss / accumulate).backward()
            if (k + 1) % accumulate == 0:
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                saved.save()
                optimizer.step()
                optimizer.zero_grad()
            each(len(losses))
    return model, saved, losses


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two nets have the same weights and statistics, bit for bit."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(x, b[name]) for name, x in a.items())
