"""How are signs and near-zero sets counted on a GPU? `analysis.signs` in torch operations.

The tensors of an update stand end to end in rows of 1,024 entries, filled up with NaN, which is in no set. So the
number of launches does not depend on the number of tensors; masks are summed by row, and rows by tensor, in integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch

from recorder.adapters.torch.statistics import floats
from recorder.analysis.signs import NAMES

WIDTH = 1024
PORTION = 1 << 24  # entries looked at together: up to 350 MB of scratch memory
PLUS, MINUS, NEAR = 1, 2, 4  # of a code


class Update(NamedTuple):
    """A tensor before its update; all three have one shape."""

    position: int
    gradient: torch.Tensor
    weight: torch.Tensor
    before: torch.Tensor | None  # the weights of its last update, where that was seen


class DeviceSigns:
    """Remembers a byte an entry from one update of a tensor to the next."""

    def __init__(self) -> None:
        self._codes: dict[int, torch.Tensor] = {}  # (row, WIDTH) uint8

    def retained(self, update: Update, tau: float) -> torch.Tensor | None:
        """Which entries are near zero and were so before, (entry,); None where that was not seen."""
        if update.before is None or update.position not in self._codes:
            return None
        codes = self._codes[update.position].reshape(-1)[: update.weight.numel()]
        wide = floats(update.gradient.reshape(-1))
        return ((codes & NEAR) != 0) & (wide.abs() <= torch.tensor(tau, dtype=wide.dtype).item())

    def forget(self, positions: Iterable[int]) -> None:
        """What was remembered of these tensors is out of date."""
        for i in positions:
            self._codes.pop(i, None)

    def counts(self, updates: Sequence[Update], tau: tuple[float, float], skipped: torch.Tensor | None) -> torch.Tensor:
        """-> (update, 11) int64, the columns `signs.NAMES`; an update that is `skipped` is not remembered."""
        return torch.cat([self._portion(some, tau, skipped) for some in _portions(updates)])

    def _portion(
        self, updates: Sequence[Update], tau: tuple[float, float], skipped: torch.Tensor | None
    ) -> torch.Tensor:
        device, rows = updates[0].gradient.device, [-(-u.weight.numel() // WIDTH) for u in updates]
        known = [u.before is not None and u.position in self._codes for u in updates]
        g = _in_rows([u.gradient for u in updates])
        w = _in_rows([u.weight for u in updates])
        b = _in_rows([u.weight if u.before is None else u.before for u in updates])
        nothing = torch.zeros(max(rows), WIDTH, dtype=torch.uint8, device=device)
        codes = torch.cat([self._codes[u.position] if k else nothing[:n]
                           for u, k, n in zip(updates, known, rows, strict=True)])  # fmt: skip
        size = g.abs()
        limits = [torch.tensor(t, dtype=g.dtype).item() for t in tau]
        positive, negative, near, tight = g > 0, g < 0, size <= limits[0], size <= limits[1]
        was_near, up, down = (codes & NEAR) != 0, w > b, w < b
        rising, falling = positive & ((codes & MINUS) != 0), negative & ((codes & PLUS) != 0)
        flips, retained = rising | falling, near & was_near
        minima, maxima = (rising & up) | (falling & down), (rising & down) | (falling & up)
        masks = (near, tight, retained, was_near & ~near, flips & retained, minima & retained, maxima & retained,
                 flips, minima, maxima)  # fmt: skip
        now = positive * PLUS + negative * MINUS + near * NEAR
        now = now.byte() if skipped is None else torch.where(skipped.to(device) == 0, now.byte(), codes)
        self._codes.update(zip((u.position for u in updates), now.split(rows), strict=True))
        counts = torch.zeros(len(updates), len(NAMES), dtype=torch.int64)
        counts[:, -1] = torch.tensor([u.weight.numel() * k for u, k in zip(updates, known, strict=True)])
        owners = torch.repeat_interleave(torch.arange(len(updates)), torch.tensor(rows))
        if device.type == "cuda":
            counts, owners = (x.pin_memory().to(device, non_blocking=True) for x in (counts, owners))
        sums = torch.stack([mask.sum(dim=1) for mask in masks], dim=1)
        counts[:, : len(masks)].index_add_(0, owners, sums)
        return counts


def _portions(updates: Sequence[Update]) -> list[list[Update]]:
    """In order, apart where tau is rounded differently, and so many together that they fit into scratch memory."""
    found: list[list[Update]] = []
    for _, some in groupby(updates, lambda u: u.gradient.dtype is torch.float64):
        entries = PORTION
        for update in some:
            if entries + update.weight.numel() > PORTION:
                found.append([])
                entries = 0
            found[-1].append(update)
            entries += update.weight.numel()
    return found


def _in_rows(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """-> (row, WIDTH) float32, or float64 if one of them is."""
    dtype = torch.float64 if any(x.dtype is torch.float64 for x in tensors) else torch.float32
    filling = torch.full((WIDTH,), torch.nan, dtype=tensors[0].dtype, device=tensors[0].device)
    parts = [part for x in tensors for part in (x.reshape(-1), filling[: -x.numel() % WIDTH])]
    return torch.cat(parts).to(dtype).view(-1, WIDTH)
