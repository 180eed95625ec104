"""How is a model called with what the user gave as its probe: which of it are inputs, and which are labels?"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from recorder.adapters.torch.names import Models
from recorder.errors import RecordError


@dataclass(frozen=True)
class Call:
    """How one model is called with its part of the probe."""

    name: str  # of the model; "" where there is one
    model: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    labels: Any = None  # what followed the inputs
    as_one: bool = False  # `kwargs` is the model's only argument, a dict

    def __call__(self) -> Any:
        owned = next(itertools.chain(self.model.parameters(), self.model.buffers()), None)
        device = torch.device("cpu") if owned is None else owned.device
        args, kwargs = _moved(self.args, device), _moved(dict(self.kwargs), device)
        return self.model(kwargs) if self.as_one else self.model(*args, **kwargs)

    def typed(self, dtypes: Mapping[str, str]) -> Call:
        """With the inputs as the model takes them, of which a run keeps some in other dtypes; others as they are."""

        def told(key: str, x: Any) -> Any:
            dtype = getattr(torch, dtypes.get(self._named(key), ""), None)
            return x.to(dtype) if isinstance(x, torch.Tensor) and isinstance(dtype, torch.dtype) else x

        args = tuple(told(str(k), x) for k, x in enumerate(self.args))
        return replace(self, args=args, kwargs={key: told(key, x) for key, x in self.kwargs.items()})

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Those with a sample dimension: a single one has the model's name, others are numbered or named behind it."""
        given = {**{str(k): x for k, x in enumerate(self.args)}, **self.kwargs}
        found = {name: x for name, x in given.items() if isinstance(x, torch.Tensor) and x.ndim > 0}
        if not found:
            raise RecordError(
                f"probe: {type(self.model).__name__} gets no tensor with a sample dimension: {self}; expected a batch, "
                "as next(iter(loader)) gives one: an array or tensor, (inputs, labels), or a dict of inputs"
            )
        return {self._named(key): x for key, x in found.items()}

    @property
    def whole(self) -> bool:
        """Whether `tensors` are all that the model is called with."""
        return all(
            x is None or (isinstance(x, torch.Tensor) and x.ndim > 0) for x in (*self.args, *self.kwargs.values())
        )

    @property
    def samples(self) -> int:
        """Length of the first tensor."""
        return len(next(iter(self.tensors.values())))

    def _named(self, key: str) -> str:
        """An input's name: that of the model, of the input, or both."""
        if len(self.args) == 1 and not self.kwargs:
            return self.name
        return f"{self.name}/{key}" if self.name else key

    def __str__(self) -> str:
        def shape(x: Any) -> str:
            return str(tuple(x.shape)) if isinstance(x, torch.Tensor) else type(x).__name__

        return ", ".join([*map(shape, self.args), *(f"{k}={shape(v)}" for k, v in self.kwargs.items())])


def calls(models: Models, probe: Any) -> list[Call]:
    """How each model is called that the probe is for; RecordError where it is for none, or is no such probe."""
    first = next(iter(models))
    if "" in models:
        return [_call(first, models[first], probe)]
    if not isinstance(probe, Mapping):
        raise RecordError(
            f"probe: with a dict of models the probe is a dict {{model name: inputs}}, got {type(probe).__name__}; "
            f"models: {', '.join(models)}"
        )
    known = [name for name in probe if name in models]
    if not known:
        return [_call(first, models[first], tuple(probe.values()))]
    if unknown := [name for name in probe if name not in models]:
        raise RecordError(f"probe: no model is called {unknown}; models: {', '.join(models)}")
    return [_call(name, models[name], probe[name]) for name in known]


def _call(name: str, model: nn.Module, probe: Any) -> Call:
    takes = inspect.signature(model.forward)
    kinds = [p for p in takes.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    required = sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in kinds)
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in kinds)
    labels = None
    if isinstance(probe, tuple | list) and len(probe) == 2 and isinstance(probe[0], Mapping) and required < 2:
        probe, labels = probe
    if isinstance(probe, Mapping):
        named = {str(key): _fixed(value) for key, value in probe.items()}
        return Call(name, model, (), named, labels, as_one=required == 1 and not _fits(takes, named))
    args = tuple(_fixed(x) for x in probe) if isinstance(probe, tuple | list) else (_fixed(probe),)
    if not takes_any and len(args) == max(required, 1) + 1:  # those of transformers require none
        return Call(name, model, args[:-1], {}, args[-1])
    return Call(name, model, args, {})


def _fits(takes: inspect.Signature, named: Mapping[str, Any]) -> bool:
    """Whether these are keyword arguments of a function of this signature."""
    try:
        takes.bind(**named)
    except TypeError:
        return False
    return True


def _fixed(value: Any) -> Any:
    """The probe stays what it is now, whatever becomes of the user's tensor."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {k: _moved(v, device) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(_moved(v, device) for v in value)
    return value.to(device) if isinstance(value, torch.Tensor) else value
