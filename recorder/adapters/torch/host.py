"""How are torch tensors on the CPU measured where they lie?

Numpy sees their memory, so nothing is copied; on a GPU `cuda.CudaPass` takes the place of `HostPass`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from recorder.adapters.rows import HostRows, Rows, Update
from recorder.reading import Plan

AS_IN_NUMPY = frozenset({torch.float32, torch.float64, torch.float16})
Members = Sequence[tuple[int, torch.Tensor]]  # (position among the run's tensors, parameter)


class Pass(Protocol):
    """The measurements of one iteration of the user's loop, on one device."""

    @property
    def keeps(self) -> bool:
        """Whether weights of the last update are kept: then every update has to be told of."""
        ...

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

    def grow(self, names: Sequence[str]) -> None:
        """More tensors came; called after `rows`, before the next update."""
        ...


class HostPass:
    """On the CPU, at once; tensors elsewhere than on CPU and CUDA are copied first."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._rows = HostRows(names)

    @property
    def keeps(self) -> bool:
        return self._rows.keeps

    def update(self, plan: Plan, members: Members, scale: torch.Tensor | None, skipped: torch.Tensor | None) -> None:
        if skipped is not None and bool(skipped):
            return
        if plan:
            updated = ((i, p, p.grad) for i, p in members)
            self._rows.measure(
                plan, (self._before(plan, i, p, unscaled(g, scale)) for i, p, g in updated if g is not None)
            )
        else:
            self._rows.pass_by(i for i, p in members if p.grad is not None)

    def look(self, plan: Plan, members: Members) -> None:
        self._rows.measure(plan, (Update(i, host_view(p), None) for i, p in members))

    def rows(self) -> Callable[[], Rows]:
        rows = self._rows.end()
        return lambda: rows

    def grow(self, names: Sequence[str]) -> None:
        self._names = names
        self._rows.grow(names)

    def _before(self, plan: Plan, i: int, parameter: torch.Tensor, gradient: torch.Tensor) -> Update:
        if not gradient.is_sparse:
            return Update(i, host_view(parameter), host_view(gradient))
        if plan.signs or plan.averages or ("gradient", self._names[i]) in plan.raw:
            return Update(i, host_view(parameter), host_view(gradient.detach().to_dense()))
        values = gradient.detach().coalesce().values()
        return Update(i, host_view(parameter), host_view(values).reshape(-1), gradient.numel() - values.numel())


def host_view(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory as numpy, copied only where numpy cannot see it; bfloat16 as uint16, complex as pairs."""
    if tensor.dtype in AS_IN_NUMPY:
        return tensor.numpy(force=True)
    if tensor.is_complex():
        return torch.view_as_real(tensor.detach().resolve_conj()).numpy(force=True)
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().view(torch.int16).numpy(force=True).view(np.uint16)
    return tensor.detach().float().numpy(force=True)


def unscaled(gradient: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """Divided by the loss scale, in float32 at least."""
    if scale is None:
        return gradient
    gradient = gradient.detach()
    wide = gradient if gradient.dtype in (torch.float64, torch.complex128) else gradient.float()
    return wide / scale.to(gradient.device, non_blocking=True)
