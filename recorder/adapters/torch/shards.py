"""Which part of a tensor does this process hold, where its entries are spread over several?

A DTensor (FSDP2, tensor parallelism) says so itself. What is measured is the part that lies here, a plain tensor with
its gradient; `parts` puts the numbers together. Torch loads the module of DTensor late, and so it is looked up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from recorder.errors import RecordError

# of FSDP1 the parts are plain tensors that do not say what they are parts of
FLAT = ("torch.distributed.fsdp", "FullyShardedDataParallel")


def is_spread(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor."""
    kind = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)
    return kind is not None and isinstance(tensor, kind)


def processes(tensors: Iterable[torch.Tensor]) -> int:
    """Over how many processes they are spread; 0 where none is a DTensor."""
    return max((int(x.device_mesh.size()) for x in tensors if is_spread(x)), default=0)


def part(tensor: torch.Tensor) -> torch.Tensor:
    """The part of it that lies here."""
    given: Any = tensor
    return given.detach().to_local() if is_spread(tensor) else given


def with_gradient(parameter: torch.Tensor) -> torch.Tensor | None:
    """The part of it that lies here, with the same part of its gradient; None where the gradient's is another one."""
    if not is_spread(parameter):
        return parameter
    given: Any = parameter
    found = part(parameter)
    if (gradient := given.grad) is not None:
        if gradient.placements != given.placements:
            if not all(g == p or g.is_replicate() for g, p in zip(gradient.placements, given.placements, strict=True)):
                return None  # it would have to be sent around
            gradient = gradient.redistribute(given.device_mesh, given.placements)
        found.grad = part(gradient)
    return found


def counts_here(parameter: torch.Tensor, *, first: bool) -> bool:
    """Whether this process speaks for its part: of equal copies only one does, of plain tensors the `first` process."""
    if not is_spread(parameter):
        return first
    given: Any = parameter
    at = given.device_mesh.get_coordinate()
    if at is None:
        return False
    return all(place == 0 for place, how in zip(at, given.placements, strict=True) if how.is_replicate())


def whole(tensor: Any) -> Any:
    """A DTensor with all its entries, on the CPU; every process of it has to call this. Anything else as it is."""
    return tensor.full_tensor().cpu() if isinstance(tensor, torch.Tensor) and is_spread(tensor) else tensor


def number(value: Any) -> Any:
    """A number that is a DTensor as a plain one; NaN where processes would have to add it up."""
    if not (isinstance(value, torch.Tensor) and is_spread(value)):
        return value
    given: Any = value
    return part(given) if all(how.is_replicate() for how in given.placements) else float("nan")


def refuse_flat(model: nn.Module) -> None:
    """RecordError for FSDP1, before numbers of parts are taken for numbers of tensors."""
    kind = getattr(sys.modules.get(FLAT[0]), FLAT[1], None)
    if kind is not None and any(isinstance(module, kind) for module in model.modules()):
        raise RecordError(
            f"record: the model is sharded by {FLAT[1]} (FSDP1), whose shards do not say which tensor they are parts "
            "of; shard it with torch.distributed.fsdp.fully_shard (FSDP2)"
        )


def reshard(module: nn.Module) -> None:
    """Let FSDP2 put the shards back in the place of the whole weights that a forward pass has gathered."""
    kind = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    if kind is not None and isinstance(module, kind):
        module.reshard()
