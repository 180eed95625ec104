"""What does every layer answer to the probe batch, without a trace left in the model?

The probe is one forward pass in eval mode, without gradients and without compilation, with hooks that live for that
pass only (`untouched`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from recorder.adapters.given import matching
from recorder.adapters.torch.call import calls
from recorder.adapters.torch.names import Models, named_modules
from recorder.adapters.torch.shards import whole
from recorder.adapters.torch.untouched import eagerly, untouched
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
        self.calls = [call.typed(self.given.dtypes) for call in calls(models, self.given.inputs)]
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
