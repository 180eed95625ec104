"""What is known of the probes of a training: which layers answer to each, also of those that come later?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from recorder.adapters.torch.names import Models, named_modules
from recorder.adapters.torch.probe_pass import Layers, ProbePass
from recorder.probe import AUGMENTATIONS, augmented, named
from recorder.reading import LayerFacts, Probed, ProbeFacts


class Probes:
    """The probes by name, of which the first is the default one; there may be none."""

    def __init__(self, models: Models, given: Any, layers: Layers) -> None:
        self._models, self._layers = models, layers
        self._passes = {name: ProbePass(models, one, layers) for name, one in named(given).items()}
        self._facts: dict[str, ProbeFacts] = {}
        self.limits: tuple[str, ...] = ()  # what `facts` has found that is not probed, in words

    def facts(self) -> Mapping[str, ProbeFacts]:
        """Each probe with the layers that answer to it; the first time by a forward pass of each."""
        if not self._facts:
            found, modules, limits = {}, dict(named_modules(self._models)), dict[str, None]()
            for name, one in self._passes.items():
                answers, outputs = one.run()
                limits.update(dict.fromkeys(one.notes))
                layers = tuple(LayerFacts(key, _kind(modules, key), tuple(x.shape[1:])) for key, x in answers.items())
                shapes = {model: tuple(x.shape[1:]) for model, x in outputs.items()}
                found[name] = replace(one.facts, layers=layers, outputs=shapes)
            self._facts, self.limits = found, tuple(limits)
        return self._facts

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        """Those of a probe, where they are to be kept and all that the model is asked; {} otherwise."""
        one = self._passes[name]
        return one.inputs if one.given.store and one.whole else {}

    def augment(self) -> None:
        """Add the probe "augmentations", made of the first one's images, unless there is one."""
        if self._passes and AUGMENTATIONS not in self._passes:
            first = next(iter(self._passes.values()))
            probe = augmented(first.given, first.facts, first.inputs)
            self._passes[AUGMENTATIONS] = ProbePass(self._models, probe, self._layers)

    def look(self, name: str) -> tuple[Probed, list[str]]:
        """What the model answers now, and the known layers that did not; layers that came are known from here on."""
        if not self._passes:
            return Probed({}, {}), []
        name = name or next(iter(self._passes))
        facts = self.facts()[name]
        shapes = {layer.name: layer.shape for layer in facts.layers}
        modules = dict(named_modules(self._models))
        found: dict[str, np.ndarray] = {}
        fresh = []
        answers, outputs = self._passes[name].run()
        for key, x in answers.items():
            kind, shape = _kind(modules, key), tuple(x.shape[1:])
            if shapes.get(key, shape) != shape:  # as with tensors: another layer than the one that had its name
                key = f"{key} ({' x '.join(map(str, shape))})"
            if key not in shapes:
                fresh.append(LayerFacts(key, kind, shape))
            found[key] = x.cpu().numpy()
        if fresh:
            self._facts[name] = replace(facts, layers=(*facts.layers, *fresh))
        answered = Probed(found, {model: x.cpu().numpy() for model, x in outputs.items()})
        return answered, [key for key in shapes if key not in found]


def _kind(modules: Mapping[str, nn.Module], layer: str) -> str:
    """The class of a layer's module; its second call is named `name:2`."""
    return type(modules[layer.partition(":")[0]]).__name__
