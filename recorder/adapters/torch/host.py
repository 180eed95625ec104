"""How are torch tensors on the CPU measured where they lie?

Numpy sees their memory, so nothing is copied; on a GPU `cuda.CudaPass` takes the place of `HostPass`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from recorder.adapters.rows import HostRows, Rows, Update, by_address
from recorder.analysis.kept import Flat
from recorder.reading import Plan

FLAT: dict[torch.dtype, np.dtype] = {  # what entries in memory are to numpy
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.uint16),
}
PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
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
        if not plan:
            self._rows.pass_by(i for i, p in members if p.grad is not None)
            return
        updated = [(i, p, unscaled(g, scale)) for i, p in members if (g := p.grad) is not None]
        if by_address(plan):
            flat = [_flat(i, p, g) for i, p, g in updated]
            self._rows.measure_flat(plan, [tensor for tensor in flat if tensor is not None])
            updated = [one for one, tensor in zip(updated, flat, strict=True) if tensor is None]
        if updated:
            self._rows.measure(plan, (self._before(plan, i, p, g) for i, p, g in updated))

    def look(self, plan: Plan, members: Members) -> None:
        self._rows.measure(plan, (Update(i, host_view(p), None) for i, p in members))

    def rows(self) -> Callable[[], Rows]:
        return self._rows.later()

    def grow(self, names: Sequence[str]) -> None:
        self._names = names
        self._rows.grow(names)

    def _before(self, plan: Plan, i: int, parameter: torch.Tensor, gradient: torch.Tensor) -> Update:
        if not gradient.is_sparse:
            return Update(i, host_view(parameter), host_view(gradient))
        if plan.signs or plan.averages is not None or ("gradient", self._names[i]) in plan.raw:
            return Update(i, host_view(parameter), host_view(gradient.detach().to_dense()))
        values = gradient.detach().coalesce().values()
        return Update(i, host_view(parameter), host_view(values).reshape(-1), gradient.numel() - values.numel())


def _flat(i: int, parameter: torch.Tensor, gradient: torch.Tensor) -> Flat | None:
    """Both as they lie in memory; None where they do not lie there as `host_view` shows them, entry behind entry."""
    dtype, size = FLAT.get(parameter.dtype), parameter.numel()
    if dtype is None or gradient.dtype is not parameter.dtype or gradient.numel() != size:
        return None
    if not (_is_plain(parameter) and _is_plain(gradient)):
        return None
    weight, beside = parameter.data_ptr(), gradient.data_ptr()
    if not weight or not beside or (weight | beside) % dtype.itemsize:  # no memory, or numpy would have to copy it
        return None
    return Flat(i, size, dtype, weight, beside)


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether its entries are those in its memory, from `data_ptr` on."""
    return (
        type(tensor) in PLAIN
        and tensor.layout is torch.strided
        and tensor.is_cpu
        and tensor.is_contiguous()
        and not tensor.is_neg()
    )


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
    wide = gradient.float() if gradient.dtype in (torch.float16, torch.bfloat16) else gradient
    return wide / scale.to(gradient.device, non_blocking=True)
