"""How are signs and near-zero sets counted on a GPU? `analysis.signs` in torch operations.

The tensors of an update stand end to end in rows of 1,024 entries, filled up with NaN, which is in no set. So the
number of launches does not depend on the number of tensors; masks are summed by row, and rows by tensor, in integers.
A large tensor is looked at in pieces, so that scratch memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch

from recorder.adapters.torch.statistics import floats

WIDTH = 1024
PORTION = 1 << 24  # entries looked at together, whole rows: up to 350 MB of scratch memory
PLUS, MINUS, NEAR = 1, 2, 4  # of a code


class Update(NamedTuple):
    """A tensor before its update; all three have one shape."""

    position: int
    gradient: torch.Tensor
    weight: torch.Tensor
    before: torch.Tensor | None  # the weights of its last update, where that was seen
    seen: torch.Tensor | None = None  # whether it was, where only the device knows: () bool


class _Piece(NamedTuple):
    """Up to PORTION neighbouring entries of an update's tensor."""

    owner: int  # among the updates
    gradient: torch.Tensor
    weight: torch.Tensor
    before: torch.Tensor
    codes: torch.Tensor | None  # (row, WIDTH) uint8, where the update before was seen


class DeviceSigns:
    """Remembers a byte an entry from one update of a tensor to the next."""

    def __init__(self) -> None:
        self._codes: dict[int, list[torch.Tensor]] = {}  # of its pieces, (row, WIDTH) uint8

    def retained(self, update: Update, tau: float) -> torch.Tensor | None:
        """Which entries are near zero and were so before, (entry,); None where that was not seen."""
        if update.before is None or update.position not in self._codes:
            return None
        codes = torch.cat([piece.reshape(-1) for piece in self._codes[update.position]])[: update.weight.numel()]
        wide = floats(update.gradient.reshape(-1))
        return ((codes & NEAR) != 0) & (wide.abs() <= _rounded(tau, wide.dtype))

    def forget(self, positions: Iterable[int]) -> None:
        """What was remembered of these tensors is out of date."""
        for i in positions:
            self._codes.pop(i, None)

    def counts(self, updates: Sequence[Update], tau: tuple[float, float], taken: torch.Tensor | None) -> torch.Tensor:
        """-> (update, 11) int64, the columns `signs.NAMES`; where it is not `taken`, () bool, none is remembered."""
        pieces = [piece for owner, update in enumerate(updates) for piece in self._pieces(owner, update)]
        remembered: list[list[torch.Tensor]] = [[] for _ in updates]
        found = torch.cat([_counts(some, tau, taken, remembered) for some in _portions(pieces)])
        known = [update.before is not None and update.position in self._codes for update in updates]
        self._codes.update(zip((u.position for u in updates), remembered, strict=True))
        sums = found if len(pieces) == len(updates) else _by_owner(found, [p.owner for p in pieces], len(updates))
        compared = there([u.weight.numel() * k for u, k in zip(updates, known, strict=True)], sums.device)
        if any(u.seen is not None for u in updates):
            yes = torch.ones((), dtype=torch.bool, device=sums.device)
            compared = compared * torch.stack([yes if u.seen is None else u.seen for u in updates])
        return torch.cat([sums, compared[:, None]], dim=1)

    def _pieces(self, owner: int, update: Update) -> list[_Piece]:
        known = update.before is not None and update.position in self._codes
        before = update.weight if update.before is None else update.before
        parts = [x.reshape(-1).split(PORTION) for x in (update.gradient, update.weight, before)]
        codes = self._codes[update.position] if known else [None] * len(parts[0])
        return [_Piece(owner, *part) for part in zip(*parts, codes, strict=True)]


def _counts(
    pieces: Sequence[_Piece], tau: tuple[float, float], taken: torch.Tensor | None,
    remembered: Sequence[list[torch.Tensor]],
) -> torch.Tensor:  # fmt: skip
    """-> (piece, 10) int64: all but `compared`; what the next update is compared with is added to `remembered`."""
    rows = [-(-piece.weight.numel() // WIDTH) for piece in pieces]
    g, w, b = (_in_rows(some) for some in zip(*(piece[1:4] for piece in pieces), strict=True))
    nothing = torch.zeros(max(rows), WIDTH, dtype=torch.uint8, device=g.device)
    codes = torch.cat([nothing[:n] if p.codes is None else p.codes for p, n in zip(pieces, rows, strict=True)])
    size = g.abs()
    limits = [_rounded(t, g.dtype) for t in tau]
    positive, negative, near, tight = g > 0, g < 0, size <= limits[0], size <= limits[1]
    was_near, up, down = (codes & NEAR) != 0, w > b, w < b
    rising, falling = positive & ((codes & MINUS) != 0), negative & ((codes & PLUS) != 0)
    flips, retained = rising | falling, near & was_near
    minima, maxima = (rising & up) | (falling & down), (rising & down) | (falling & up)
    masks = (near, tight, retained, was_near & ~near, flips & retained, minima & retained, maxima & retained,
             flips, minima, maxima)  # fmt: skip
    now = (positive * PLUS + negative * MINUS + near * NEAR).byte()
    for piece, code in zip(pieces, (now if taken is None else torch.where(taken, now, codes)).split(rows), strict=True):
        remembered[piece.owner].append(code)
    sums = torch.stack([mask.sum(dim=1) for mask in masks], dim=1)
    return _by_owner(sums, np.repeat(np.arange(len(pieces)), rows), len(pieces))


def _by_owner(sums: torch.Tensor, owners: Sequence[int] | np.ndarray, several: int) -> torch.Tensor:
    """Those of each owner added up."""
    found = torch.zeros(several, sums.shape[1], dtype=sums.dtype, device=sums.device)
    return found.index_add_(0, there(owners, sums.device), sums)


def there(integers: Sequence[int] | np.ndarray, device: torch.device) -> torch.Tensor:
    """On the device, which is not waited for."""
    here = torch.from_numpy(np.asarray(integers, np.int64))  # on the CPU, whichever device torch takes by default
    return (here.pin_memory() if device.type == "cuda" else here).to(device, non_blocking=True)


def _rounded(tau: float, dtype: torch.dtype) -> float:
    """As entries of this type see it."""
    return tau if dtype is torch.float64 else float(np.float32(tau))


def _portions(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """In order, apart where tau is rounded differently, and so many together that they fit into scratch memory."""
    found: list[list[_Piece]] = []
    for _, some in groupby(pieces, lambda piece: piece.gradient.dtype is torch.float64):
        found.append([])
        entries = 0
        for piece in some:
            if found[-1] and entries + piece.weight.numel() > PORTION:
                found.append([])
                entries = 0
            found[-1].append(piece)
            entries += piece.weight.numel()
    return found


def _in_rows(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """-> (row, WIDTH) float32, or float64 if one of them is."""
    dtype = torch.float64 if any(x.dtype is torch.float64 for x in tensors) else torch.float32
    filling = torch.full((WIDTH,), torch.nan, dtype=tensors[0].dtype, device=tensors[0].device)
    parts = [part for x in tensors for part in (x.reshape(-1), filling[: -x.numel() % WIDTH])]
    whole = torch.cat(parts).to(dtype)
    return whole.view(whole.numel() // WIDTH, WIDTH)
