"""How does one optimizer update become one row of statistics a tensor?

`HostPass` hands zero-copy numpy views to the fused pass of `analysis.statistics`; its numbers are there at once. On a
GPU `torch_cuda.CudaPass` takes its place. Both give the same `Rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from recorder.analysis import histogram, statistics
from recorder.reading import Plan, Quantity, Statistic

Members = Sequence[tuple[int, torch.Tensor]]  # (position among the run's tensors, parameter)
HISTOGRAMS = frozenset({Statistic.GRADIENT_HISTOGRAM, Statistic.WEIGHT_HISTOGRAM})
COUNTS = frozenset({Statistic.GRADIENT_NONFINITE, Statistic.WEIGHT_NONFINITE})
Raw = Mapping[tuple[Quantity, str], np.ndarray]


@dataclass(frozen=True)
class Rows:
    """One row a tensor of the run; only those in `stepped` were measured."""

    table: Mapping[Statistic, np.ndarray]
    stepped: np.ndarray  # (tensor,) bool
    raw: Raw


class Pass(Protocol):
    """The measurements of one iteration of the user's loop, on one device."""

    def update(self, plan: Plan, members: Members, scale: torch.Tensor | None, skipped: torch.Tensor | None) -> None:
        """Measure the parameters that are about to be updated; a later update replaces the row of an earlier one.

        `scale` divides the gradients; the update does not happen where `skipped` is not 0.
        """
        ...

    def look(self, plan: Plan, members: Members) -> None:
        """Measure the parameters as they are, without their gradients."""
        ...

    def rows(self) -> Callable[[], Rows]:
        """End the iteration: a thunk for its rows."""
        ...


class HostPass:
    """On the CPU, in place; tensors elsewhere than on CPU and CUDA are copied first."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._kept: dict[int, statistics.Kept] = {}
        self._several = False  # updates of a tensor in one iteration: five critic steps to one of the generator
        self._clear()

    def _clear(self) -> None:
        self._table: statistics.Table | None = None
        self._stepped = np.zeros(len(self.names), bool)
        self._raw: dict[tuple[Quantity, str], np.ndarray] = {}

    def update(self, plan: Plan, members: Members, scale: torch.Tensor | None, skipped: torch.Tensor | None) -> None:
        if skipped is not None and bool(skipped):
            return
        members = [(i, p) for i, p in members if p.grad is not None]
        if plan:
            self._several |= any(self._stepped[i] for i, _ in members)
            keep = plan.keep_weights or (self._several and Statistic.UPDATE_NORM in plan.statistics)
            for i, parameter in members:
                gradient = parameter.grad
                assert gradient is not None
                self._measure(plan, i, parameter, unscaled(gradient, scale), keep=keep)
        else:
            for i, _ in members:
                self._stepped[i] = True
                if i in self._kept:
                    self._kept[i].valid = False

    def look(self, plan: Plan, members: Members) -> None:
        for i, parameter in members:
            self._measure(plan, i, parameter, None, keep=False)

    def _measure(
        self, plan: Plan, i: int, parameter: torch.Tensor, gradient: torch.Tensor | None, *, keep: bool
    ) -> None:
        if self._table is None:
            self._table = statistics.Table((s.value for s in plan.statistics), len(self.names))
        self._stepped[i] = True
        weight = host_view(parameter)
        kept = self._kept.get(i)
        if keep and (kept is None or not kept.fits(weight)):
            kept = self._kept[i] = statistics.Kept.room_for(weight)
        if plan.raw:
            self._copy(plan, self.names[i], gradient, weight, kept)
        zeros, values = 0, None
        if gradient is not None and gradient.is_sparse:
            stored = gradient.coalesce().values()
            zeros, values = gradient.numel() - stored.numel(), host_view(stored).reshape(-1)
        elif gradient is not None:
            values = host_view(gradient)
        self._table.measure(i, values, weight, kept=kept, keep=keep, zeros=zeros)
        if kept is not None and not keep:
            kept.valid = False

    def _copy(
        self, plan: Plan, name: str, gradient: torch.Tensor | None, weight: np.ndarray, kept: statistics.Kept | None
    ) -> None:
        if ("gradient", name) in plan.raw and gradient is not None:
            self._raw["gradient", name] = exact(host_view(gradient.to_dense() if gradient.is_sparse else gradient))
        if ("weight", name) in plan.raw:
            self._raw["weight", name] = exact(weight)
        if ("update", name) in plan.raw and kept is not None and kept.valid and kept.fits(weight):
            self._raw["update", name] = exact(weight) - exact(kept.like(weight))

    def rows(self) -> Callable[[], Rows]:
        columns = {} if self._table is None else self._table.columns()
        rows = Rows({Statistic(name): column for name, column in columns.items()}, self._stepped, self._raw)
        self._clear()
        return lambda: rows


def host_view(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory as numpy, copied only where numpy cannot see it; bfloat16 as uint16, complex as pairs."""
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    if tensor.dtype not in (torch.float32, torch.float64, torch.float16):
        tensor = tensor.float()
    return tensor.numpy()


def exact(entries: np.ndarray) -> np.ndarray:
    """A copy in the precision it has; 16-bit floats as float32."""
    return statistics.as_float64(entries).astype(np.float64 if entries.dtype == np.float64 else np.float32)


def unscaled(gradient: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """Divided by the loss scale, in float32 at least."""
    gradient = gradient.detach()
    if scale is None:
        return gradient
    wide = gradient if gradient.dtype in (torch.float64, torch.complex128) else gradient.float()
    return wide / scale.to(gradient.device, non_blocking=True)


def no_row(statistic: Statistic, tensors: int) -> np.ndarray:
    """The column of a statistic where no tensor was measured: NaN, counts 0."""
    if statistic in HISTOGRAMS:
        return np.zeros((tensors, histogram.COLUMNS), np.int64)
    if statistic in COUNTS:
        return np.zeros(tensors, np.int64)
    return np.full(tensors, np.nan)
