"""How do gradient and weights turn on a GPU? `analysis.turns` in torch operations, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import torch

from recorder.adapters.torch.signs import Update
from recorder.adapters.torch.statistics import floats
from recorder.analysis.turns import AT, stride

PORTION = 1 << 22  # entries that are widened at a time


class DeviceTurns:
    """Remembers gradient and change from one update of a tensor to the next."""

    def __init__(self) -> None:
        self._gradients: dict[int, torch.Tensor] = {}
        self._changes: dict[int, torch.Tensor] = {}

    def forget(self, positions: Iterable[int]) -> None:
        """What was remembered of these tensors is out of date."""
        for i in positions:
            self._gradients.pop(i, None)
            self._changes.pop(i, None)

    def columns(
        self, updates: Sequence[Update], retained: Sequence[torch.Tensor | None], taken: torch.Tensor | None, *,
        remember: bool,
    ) -> torch.Tensor:  # fmt: skip
        """-> (update, 12) float64: angle, cosine, quantiles; `retained` are masks of the near-zero entries.

        Where they are not `taken`, () bool, none is remembered.
        """
        return torch.stack([
            self._one(update, mask, taken, remember=remember) for update, mask in zip(updates, retained, strict=True)
        ])  # fmt: skip

    def _one(
        self, update: Update, retained: torch.Tensor | None, taken: torch.Tensor | None, *, remember: bool
    ) -> torch.Tensor:
        i, g, w = update.position, _flat(update.gradient), _flat(update.weight)
        nothing = torch.full((1 + len(AT),), torch.nan, dtype=torch.float64, device=g.device)
        angle, curvature = nothing[:1], nothing[1:]
        cosine, movement, change, before, last = nothing[:1], nothing[1:], None, None, None
        if update.before is not None:
            change = w - _flat(update.before)
            before, last = self._gradients.get(i), self._changes.get(i)
            if before is not None:
                angle = torch.rad2deg(torch.acos(_cosine(g, before)))
                some = slice(None, None, stride(g.numel()))
                moved = change[some].double()
                secant = (g[some].double() - before[some].double()) / moved
                curvature = _quantiles(torch.where((moved != 0) & secant.isfinite(), secant, torch.nan))
            if last is not None:
                cosine = _cosine(change, last)
            if retained is not None:
                movement = _quantiles(torch.where(retained, change.abs(), torch.nan))
                movement = torch.where((retained & change.isnan()).any(), torch.nan, movement)
        if remember:
            self._gradients[i] = g.clone() if taken is None else if_taken(taken, g, before)
            if change is not None:
                self._changes[i] = change if taken is None else if_taken(taken, change, last)
            else:
                self._changes.pop(i, None)
        else:
            self.forget([i])
        return torch.cat([angle, cosine, curvature, movement])


def if_taken(taken: torch.Tensor, now: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
    """What is remembered of an update, and where that is not `taken` what was before; NaN where nothing was."""
    return torch.where(taken, now, torch.nan if before is None else before)


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return floats(tensor).reshape(-1)


def _cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """-> (1,); NaN where one is zero or not finite"""
    length = torch.linalg.vector_norm(x, dtype=torch.float64) * torch.linalg.vector_norm(y, dtype=torch.float64)
    product = torch.stack([
        torch.dot(a.double(), b.double()) for a, b in zip(x.split(PORTION), y.split(PORTION), strict=True)
    ]).sum()  # fmt: skip
    return torch.where(length.isfinite(), (product / length).clamp(-1, 1), torch.nan).reshape(1)


def _quantiles(values: torch.Tensor) -> torch.Tensor:
    """-> (5,) of those that are not NaN, without asking the device how many they are"""
    if not values.numel():
        return torch.full((len(AT),), torch.nan, dtype=torch.float64, device=values.device)
    ordered = values.sort().values  # NaN last
    last = (~values.isnan()).sum() - 1
    place = _at(values.device) * last
    low, high = (ordered[end.long().clamp(min=0)].double() for end in (place.floor(), place.ceil()))
    return torch.where(low == high, low, low + (high - low) * place.frac())


@cache
def _at(device: torch.device) -> torch.Tensor:
    """There once: memory that is not pinned may be waited for."""
    return torch.tensor(AT, dtype=torch.float64, device=device)
