"""How do gradient and weights turn on a GPU? `analysis.turns` in torch operations, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from recorder.adapters.torch.signs import Update
from recorder.adapters.torch.statistics import floats
from recorder.analysis.turns import AT, stride


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
        self, updates: Sequence[Update], retained: Sequence[torch.Tensor | None], *, remember: bool
    ) -> torch.Tensor:
        """-> (update, 12) float64: angle, cosine, quantiles; `retained` are masks of the near-zero entries."""
        return torch.stack([
            self._one(update, mask, remember=remember) for update, mask in zip(updates, retained, strict=True)
        ])  # fmt: skip

    def _one(self, update: Update, retained: torch.Tensor | None, *, remember: bool) -> torch.Tensor:
        i, g, w = update.position, _flat(update.gradient), _flat(update.weight)
        nothing = torch.full((1 + len(AT),), torch.nan, dtype=torch.float64, device=g.device)
        angle, curvature = nothing[:1], nothing[1:]
        cosine, movement, change = nothing[:1], nothing[1:], None
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
                movement = _quantiles(torch.where(retained, change.double().abs(), torch.nan))
        if remember:
            self._gradients[i] = g.clone()
            if change is not None:
                self._changes[i] = change
            else:
                self._changes.pop(i, None)
        else:
            self.forget([i])
        return torch.cat([angle, cosine, curvature, movement])


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return floats(tensor).reshape(-1)


def _cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """-> (1,); NaN where one is zero or not finite"""
    x, y = x.double(), y.double()
    length = torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)
    cosine = (torch.dot(x, y) / length).clamp(-1, 1)
    return torch.where(length.isfinite(), cosine, torch.nan).reshape(1)


def _quantiles(values: torch.Tensor) -> torch.Tensor:
    """-> (5,) of those that are not NaN, without asking the device how many they are"""
    if not values.numel():
        return torch.full((len(AT),), torch.nan, dtype=torch.float64, device=values.device)
    ordered = values.sort().values  # NaN last
    last = (~values.isnan()).sum() - 1
    place = torch.tensor(AT, dtype=torch.float64).to(values.device, non_blocking=True) * last
    low = place.floor().long().clamp(min=0)
    high = place.ceil().long().clamp(min=0)
    return torch.lerp(ordered[low], ordered[high], place - low)
