"""What does every layer answer to the probe batch, without a trace left in the model?

The probe is one forward pass in eval mode, without gradients and without compilation, with hooks that live for that
pass only. Modes, buffers and every random generator are put back as they were.
"""

from __future__ import annotations

import inspect
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from recorder.adapters.given import matching
from recorder.adapters.torch.names import Models, named_modules
from recorder.adapters.torch.shards import reshard, whole
from recorder.errors import RecordError, in_words
from recorder.probe import Probe, array_of, described

Layers = Sequence[str | type[nn.Module]] | None

# leaves that pass numbers on or only drop some while training
SILENT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
          nn.Identity, nn.Flatten, nn.Unflatten, nn.Sequential, nn.ModuleList, nn.ModuleDict)  # fmt: skip
WHOLE = (nn.MultiheadAttention,)  # has children, but computes with their weights by itself
# where the units of an output are: on the last dimension, or on the first after the samples; other layers keep it so
UNITS_LAST = {nn.Linear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention, nn.RNN, nn.LSTM, nn.GRU}
UNITS_FIRST = {nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm}
CALLS = 4  # of one module in one forward pass; a recurrent cell may be called hundreds of times


Watcher = Callable[[nn.Module, Any, Any], None]


class ProbePass:
    """One probe, the layers that are watched while it passes, and what is known of it.

    `probe` is, for one model, a tensor; a tuple of the inputs that `forward` requires, which labels may follow; a dict
    of keyword arguments, or of what `forward` takes as its only argument, and (dict, labels); or a `recorder.Probe` of
    these. For a dict of models it is a dict {model name: such a probe}; where no key is a model's name, its values go
    to the first model, in order. `layers` are names, globs over names, or module classes; None means every leaf but
    dropout, identity and flatten.
    """

    def __init__(self, models: Models, probe: Any, layers: Layers = None) -> None:
        self.given = probe if isinstance(probe, Probe) else Probe(probe)
        self.calls = [call.typed(self.given.dtypes) for call in _calls(models, self.given.inputs)]
        dtypes = {name: str(x.dtype).removeprefix("torch.") for name, x in self._tensors.items()}
        self.facts = described(self.given, self.inputs, labels=self.calls[0].labels, dtypes=dtypes)
        self.samples = self.facts.samples
        self.watched = _chosen(models, layers)
        self._models, self._layers = models, layers
        self.notes: list[str] = []
        self._units_last = False

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Input -> (sample, ...); "" is the only one."""
        return {name: array_of(x) for name, x in self._tensors.items()}

    @property
    def whole(self) -> bool:
        """Whether `inputs` are all that the models are called with."""
        return all(call.whole for call in self.calls)

    @property
    def _tensors(self) -> dict[str, torch.Tensor]:
        return {name: x for call in self.calls for name, x in call.tensors.items()}

    def run(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """-> {layer: (sample, unit, ...) float32} and {"" or model: (sample, ...)}, on the model's device.

        A layer's second call is named `name:2`.
        """
        found: dict[str, torch.Tensor] = {}
        outputs: dict[str, torch.Tensor] = {}
        self.notes.clear()
        with suppress(RecordError):  # a phase may have taken away all that the user named
            self.watched = _chosen(self._models, self._layers)
        for call in self.calls:
            self._units_last = False
            handles = []
            try:
                with untouched(call.model), eagerly(), torch.no_grad():
                    for name, module in self.watched.items():
                        handles.append(module.register_forward_hook(self._watch(name, call.samples, found)))
                    predicted = _prediction(call(), call.samples)
                    if predicted is not None:
                        outputs[call.name] = whole(predicted.detach()).to(torch.float32, copy=True)
            except Exception as error:
                raise RecordError(
                    f"probe: {type(call.model).__name__} failed on {call}: {in_words(error)}. "
                    "Give as probe what the model takes: a tensor, a tuple (inputs..., labels) or a dict of keyword "
                    "arguments; for a dict of models, a dict of such probes by model name"
                ) from error
            finally:
                for handle in handles:
                    handle.remove()
        return found, outputs

    def _watch(self, name: str, samples: int, found: dict[str, torch.Tensor]) -> Watcher:
        calls = 0

        def keep(module: nn.Module, _args: Any, output: Any) -> None:
            nonlocal calls
            calls += 1
            kind = type(module)
            self._units_last = kind in UNITS_LAST or (self._units_last and kind not in UNITS_FIRST)
            tensor = _first_tensor(output)
            if calls > CALLS:
                if calls == CALLS + 1:
                    self.notes.append(f"layer {name!r}: only its first {CALLS} calls in a forward pass are probed")
            elif tensor is None or not tensor.is_floating_point():
                self.notes.append(f"layer {name!r} gives no floating-point tensor: not probed")
            elif tensor.ndim == 0 or len(tensor) != samples or not tensor.numel():
                self.notes.append(
                    f"layer {name!r} gives {tuple(tensor.shape)}, not ({samples} samples, ...): not probed"
                )
            else:
                if self._units_last and tensor.ndim > 2:
                    tensor = tensor.movedim(-1, 1)
                key = name if calls == 1 else f"{name}:{calls}"
                found[key] = tensor.detach().to(torch.float32, copy=True)  # a copy: an in-place ReLU may follow

        return keep


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


def _calls(models: Models, probe: Any) -> list[Call]:
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


def _chosen(models: Models, layers: Layers) -> dict[str, nn.Module]:
    modules = dict(named_modules(models))
    if layers is None:
        return {n: m for n, m in modules.items() if isinstance(m, WHOLE) or (_is_leaf(m) and not isinstance(m, SILENT))}
    return matching(layers, modules)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _first_tensor(output: Any) -> torch.Tensor | None:
    if isinstance(output, torch.Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return next((v for v in values if isinstance(v, torch.Tensor)), None)


def _prediction(output: Any, samples: int) -> torch.Tensor | None:
    """The first tensor of numbers, one row a sample, of what a model returns; a loss before it is none."""
    if isinstance(output, torch.Tensor):
        rows = output.ndim > 0 and len(output) == samples and output.numel()
        return output if rows and output.is_floating_point() else None
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return next((found for value in values if (found := _prediction(value, samples)) is not None), None)


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
