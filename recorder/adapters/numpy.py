"""How is a training loop written in numpy watched? The reference that every other adapter must equal.

    model.parameters      {tensor name: array}, updated in place or replaced
    model.gradients       {tensor name: array}; a missing one or None: the tensor is not updated
    model.forward(x)      {layer name: (sample, unit, ...)}, only needed with a probe; the last one is its prediction
    optimizer.step(...)   makes the update; it is the model itself if it has a `step` and no optimizer is given

`step` is wrapped on the optimizer object while the recording lasts, so gradients are seen just before they are used.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from recorder.adapters.fitting import fitted
from recorder.adapters.given import matching
from recorder.adapters.rows import HostRows, Rows, Update, merged
from recorder.analysis import statistics
from recorder.errors import RecordError
from recorder.number import as_float, is_number
from recorder.probe import AUGMENTATIONS, Probe, augmented, described, named
from recorder.reading import Collected, Facts, LayerFacts, Plan, Probed, ProbeFacts, Statistic, TensorFacts


class NumpyAdapter:
    """Watches an object with `parameters` and `gradients`; see `recorder.reading.Adapter`.

    optimizer  an object with `step`; `learning_rate` is recorded if it has one
    probe      what `forward` takes: an array, or a tuple (inputs, labels); a `recorder.Probe` of it, or several by name
    layers     names or globs of the layers that `forward` answers with; None: all
    """

    lag = 0

    def __init__(self, model: Any, *, optimizer: Any = None, probe: Any = None, layers: Any = None) -> None:
        self._model = model
        self._optimizer = model if optimizer is None else optimizer
        if not callable(getattr(self._optimizer, "step", None)):
            raise RecordError(
                f"optimizer: {type(self._optimizer).__name__} has no step() to watch; "
                "give as optimizer the object whose step() updates model.parameters"
            )
        if probe is not None and not callable(getattr(model, "forward", None)):
            raise RecordError(f"probe: {type(model).__name__} has no forward(x) -> {{layer: activations}}")
        self._probes = {name: _Batch.of(one) for name, one in named(probe).items()}
        self._layers = layers
        self._names = tuple(model.parameters)
        self._known = set(self._names)
        self._rows = HostRows(self._names)
        self._ended: list[Rows] = []  # measured in this iteration before more tensors came
        self._arrived: tuple[TensorFacts, ...] = ()
        self._plan: Callable[[], Plan] = Plan
        self._unwrap: Callable[[], None] | None = None
        self._problem: Exception | None = None
        self._wanted: frozenset[Statistic] = frozenset()  # by the last update of this iteration
        self._seconds = 0.0
        self._pid = -1

    def facts(self) -> Facts:
        probes = {name: self._probe_facts(name) for name in self._probes}
        default = next(iter(probes.values()), None)
        return Facts(
            framework="numpy",
            tensors=tuple(_facts(name, w) for name, w in self._model.parameters.items()),
            layers=() if default is None else default.layers,
            probe_samples=0 if default is None else default.samples,
            gradient_point="before the update",
            probes=probes,
        )

    def _probe_facts(self, name: str) -> ProbeFacts:
        answers = self.probe(name)
        layers = tuple(LayerFacts(layer, "", x.shape[1:]) for layer, x in answers.activations.items())
        shapes = {model: x.shape[1:] for model, x in answers.outputs.items()}
        return replace(self._probes[name].facts, layers=layers, outputs=shapes)

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        batch = self._probes[name]
        return {"": batch.inputs} if batch.given.store else {}

    def augment(self) -> None:
        if self._probes and AUGMENTATIONS not in self._probes:
            first = next(iter(self._probes.values()))
            self._probes[AUGMENTATIONS] = _Batch.of(augmented(first.given, first.facts, {"": first.inputs}))

    def attach(self, plan: Callable[[], Plan]) -> None:
        self.detach()
        self._plan, self._pid = plan, os.getpid()
        statistics.warm_up({w.dtype for w in self._model.parameters.values()})
        original, own = self._optimizer.step, "step" in vars(self._optimizer)

        @functools.wraps(original)
        def step(*args: Any, **kwargs: Any) -> Any:
            self.about_to_update()
            return original(*args, **kwargs)

        def unwrap() -> None:
            if own:
                self._optimizer.step = original
            else:
                del self._optimizer.step

        self._optimizer.step = step
        self._unwrap = unwrap

    def detach(self) -> None:
        if self._unwrap is not None:
            self._unwrap()
            self._unwrap = None
        self._plan = Plan
        self._rows = HostRows(self._names)

    def about_to_update(self) -> None:
        """Measure what the update is about to use. What fails here is raised in `collect`, not in the training."""
        if self._problem is not None or os.getpid() != self._pid:
            return
        began = perf_counter()
        try:
            plan, weights, gradients = self._plan(), self._model.parameters, self._model.gradients
            self._wanted = plan.statistics
            self._grow()
            updated = [(i, name) for i, name in enumerate(self._names) if gradients.get(name) is not None]
            if plan:
                self._rows.measure(plan, (Update(i, weights[name], gradients[name]) for i, name in updated))
            else:
                self._rows.pass_by(i for i, _ in updated)
        except Exception as problem:
            self._problem = problem
        self._seconds += perf_counter() - began

    def _grow(self) -> None:
        """Make room for the tensors that came since the last look."""
        parameters = self._model.parameters
        fresh = [name for name in parameters if name not in self._known]
        if fresh:
            self._ended.append(self._rows.end())
            self._names += tuple(fresh)
            self._known.update(fresh)
            self._rows.grow(self._names)
            self._arrived += tuple(_facts(name, parameters[name]) for name in fresh)

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        if self._problem is not None:
            raise self._problem
        rate = getattr(self._optimizer, "learning_rate", None)
        given = {"learning_rate": rate, **scalars} if is_number(rate) else scalars
        numbers = {name: as_float(value) for name, value in given.items()}
        rows = merged([*self._ended, self._rows.end()], self._wanted, len(self._names))
        collected = Collected(
            rows.table, rows.stepped, rows.raw, numbers, arrived=self._arrived, norms_before=rows.norms_before
        )
        self._wanted, self._ended, self._arrived = frozenset(), [], ()
        return lambda: collected

    def take_seconds(self) -> float:
        """Seconds spent before updates since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def read(self, plan: Plan) -> Collected:
        self._grow()
        self._rows.end()
        self._rows.measure(plan, (Update(i, self._model.parameters[name], None) for i, name in enumerate(self._names)))
        rows = merged([self._rows.end()], plan.statistics, len(self._names))
        arrived, self._arrived, self._ended = self._arrived, (), []
        return Collected(rows.table, rows.stepped, rows.raw, {}, arrived=arrived)

    def probe(self, name: str = "") -> Probed:
        if not self._probes:
            return Probed({}, {})
        batch = self._probes[name or next(iter(self._probes))]
        found = {layer: np.array(x) for layer, x in self._model.forward(batch.inputs.copy()).items()}
        outputs = {"": list(found.values())[-1]} if found else {}
        return Probed(found if self._layers is None else matching(self._layers, found), outputs)

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **self._model.parameters)

    def load(self, path: Path, *, key: str = "") -> str:
        if key:
            raise RecordError(f"{path}: a file of numpy holds one set of weights; leave --key out")
        own = self._model.parameters
        try:
            with np.load(path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
        except Exception as error:
            raise RecordError(f"{path}: is no .npz of arrays, or damaged ({error})") from None
        fits, left = fitted(stored, {name: w.shape for name, w in own.items()}, str(path))
        for name, w in fits.items():
            own[name] = w.astype(own[name].dtype)
        return left

    def model(self) -> Any:
        return self._model


@dataclass(frozen=True)
class _Batch:
    """What `forward` takes, of one probe."""

    given: Probe
    inputs: np.ndarray
    facts: ProbeFacts

    @classmethod
    def of(cls, probe: Probe) -> _Batch:
        pair = isinstance(probe.inputs, tuple)
        inputs = np.array(probe.inputs[0] if pair else probe.inputs)
        labels = probe.inputs[1] if pair and len(probe.inputs) > 1 else None
        return cls(probe, inputs, described(probe, {"": inputs}, labels=labels))


def _facts(name: str, tensor: np.ndarray) -> TensorFacts:
    return TensorFacts(name, tensor.shape, str(tensor.dtype), name.rpartition(".")[0])
