"""How does a forward pass leave no trace in a model? Modes, buffers, shards and random states are put back."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from recorder.adapters.torch.shards import reshard


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; outside, modes, buffers, shards and random states are what they were, also after an exception.

    Random states are the global ones, and those of generators that modules have as attributes. `training` is set on
    each module, not by `eval()`, which a user's module may override to do more (merge weights).
    """
    modules = list(model.modules())
    modes = [m.training for m in modules]
    registered = [dict(m._buffers) for m in modules]
    numbers = [(b, _version(b), b.clone()) for buffers in registered for b in buffers.values() if b is not None]
    cpu, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    generators = [partial(set_state, state) for m in modules for state, set_state in _own_states(m)]
    try:
        for m in modules:
            m.training = False
        yield
    finally:
        for m, mode, buffers in zip(modules, modes, registered, strict=True):
            reshard(m)
            m.training = mode
            m._buffers.clear()
            m._buffers.update(buffers)
        with torch.no_grad():
            for buffer, version, before in numbers:
                if _version(buffer) != version or version is None:
                    buffer.copy_(before)
        torch.set_rng_state(cpu)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        for put_back in generators:
            put_back()


def _own_states(module: nn.Module) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    """The states of the generators that are attributes of a module, each with what puts it back."""
    for one in vars(module).values():
        if isinstance(one, torch.Generator):
            yield one.get_state(), one.set_state
        elif isinstance(one, np.random.Generator):
            yield one.bit_generator.state, partial(setattr, one.bit_generator, "state")
        elif isinstance(one, random.Random):
            yield one.getstate(), one.setstate


def _version(tensor: torch.Tensor) -> int | None:
    """Changes with every write in place; tensors of inference mode do not count."""
    return None if tensor.is_inference() else tensor._version


@contextmanager
def eagerly() -> Iterator[None]:
    """Without torch.compile, and without leaving gradient-free copies of the weights in autocast's cache."""
    stance = getattr(torch.compiler, "set_stance", None) if "torch._dynamo" in sys.modules else None
    cached = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with stance("force_eager") if stance else nullcontext():
            yield
    finally:
        torch.set_autocast_cache_enabled(cached)
