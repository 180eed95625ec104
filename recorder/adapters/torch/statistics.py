"""How are norms, counts and histograms taken on a GPU? `analysis.statistics` in torch operations.

The sums are torch's multi-tensor kernels, a histogram is a sort: a number of launches that hardly grows with the number
of tensors, no atomics, no synchronisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import torch

from recorder.analysis import histogram

PORTION = 1 << 22  # entries sorted at a time: 36 MB of scratch memory


def norms(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """-> (tensor,) float64 Euclidean norms, summed in float64."""
    return torch.stack([n.double() for n in torch._foreach_norm(list(tensors), 2, dtype=torch.float64)])


def nonfinite(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """-> (tensor,) float64 numbers of NaN and infinite entries: those that zero times is not zero."""
    found = []
    for some in together([x.numel() for x in tensors]):
        marks = torch._foreach_mul(list(tensors[some]), 0.0)
        found += [torch.linalg.vector_norm(m, 0, dtype=torch.float64) for m in marks]
    return torch.stack(found)


def change_norms(now: Sequence[torch.Tensor], before: Sequence[torch.Tensor]) -> torch.Tensor:
    """-> (tensor,) float64 Euclidean norms of now - before."""
    changes = [
        norms(torch._foreach_sub([floats(x) for x in now[some]], [floats(x) for x in before[some]]))
        for some in together([x.numel() for x in now])
    ]
    return torch.cat(changes)


def relatively_near(tensors: Sequence[torch.Tensor], sizes: Sequence[int], tau: float) -> torch.Tensor:
    """-> (tensor,) int64, `near_zero_relative` of `analysis.statistics`; entries missing to the sizes are zeros."""
    found = []
    for x, norm, size in zip(tensors, norms(tensors), sizes, strict=True):
        limit = (tau * norm / max(size, 1) ** 0.5).float()
        near = (floats(x).abs() <= limit).sum() + (size - x.numel())
        found.append(torch.where(limit.isfinite(), near, 0))
    return torch.stack(found)


def counts(entries: torch.Tensor, size: int) -> torch.Tensor:
    """-> (204,) int64, the histogram of `analysis.histogram`; entries missing to `size` are zeros."""
    edges = _edges(entries.device)
    levels = torch.arange(histogram.COLUMNS, dtype=torch.int16, device=entries.device)
    upto = torch.zeros(histogram.COLUMNS, dtype=torch.int64, device=entries.device)
    for portion in entries.reshape(-1).split(PORTION):
        x = portion.double()
        rank = torch.bucketize(x.abs(), edges, right=True)
        column = torch.where(x < 0, histogram.CENTRE - rank, histogram.CENTRE + rank)
        column = torch.where(x.isnan(), histogram.NAN, column).to(torch.int16)
        upto += torch.searchsorted(column.sort().values, levels, right=True)
    upto[histogram.CENTRE :] += size - entries.numel()
    return torch.diff(upto, prepend=upto.new_zeros(1))


def together(sizes: Sequence[int]) -> Iterator[slice]:
    """Stretches of tensors of these sizes that are copied at a time; a larger tensor is one of its own."""
    first = entries = 0
    for k, size in enumerate(sizes):
        if k > first and entries + size > PORTION:
            yield slice(first, k)
            first, entries = k, 0
        entries += size
    if sizes:
        yield slice(first, len(sizes))


@cache
def _edges(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(histogram.MAGNITUDES.copy()).to(device)


def floats(tensor: torch.Tensor) -> torch.Tensor:
    """In float32 at least; what is wider stays as it is."""
    return tensor if tensor.dtype in (torch.float64, torch.int64) else tensor.float()
