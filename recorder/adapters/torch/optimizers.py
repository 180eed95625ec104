"""Which optimizers update the recorded tensors, what are they called, and what are their learning rates?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

import torch
from torch.optim import Optimizer

from recorder.adapters.given import by_label
from recorder.adapters.torch.host import Members
from recorder.adapters.torch.names import Models, named_parameters
from recorder.errors import RecordError
from recorder.reading import TensorFacts


@dataclass(frozen=True)
class Seen:
    """What was found out about an optimizer while it had these parameters."""

    parameters: list[torch.Tensor]
    members: Members  # the recorded tensors that it updates, with their positions; none if it is not watched
    rates: list[str]  # the names of its groups' learning rates

    def put_rates(self, optimizer: Optimizer, into: dict[str, Any]) -> None:
        """Put them there: "learning_rate", with the optimizer's name and the group's number where there are several."""
        for name, group in zip(self.rates, optimizer.param_groups, strict=True):
            if "lr" in group:
                rate = group["lr"]  # as a tensor it is written over by the scheduler, before the iteration ends
                into[name] = rate.detach().clone() if isinstance(rate, torch.Tensor) else rate

    def still(self, optimizer: Optimizer) -> bool:
        """Whether the optimizer has the same parameters as then."""
        known, here = iter(self.parameters), 0
        for group in optimizer.param_groups:
            parameters = group["params"]
            here += len(parameters)
            if not all(map(is_, parameters, known)):
                return False
        return here == len(self.parameters) and len(self.rates) == len(optimizer.param_groups)


NOBODY = Seen([], (), [])


class Optimizers:
    """The optimizers that are watched: those the user named, or all that own a parameter of the models.

    A parameter that takes the place of one of the same name and shape has its row; any other that comes later has a row
    behind those that are there, and is told in `arrived`.
    """

    def __init__(self, models: Models, optimizer: Any = None) -> None:
        self.models = models
        self.parameters: dict[str, torch.Tensor] = dict(named_parameters(models))
        self.arrived: list[TensorFacts] = []  # until the adapter takes note of them
        self._index = {id(p): i for i, p in enumerate(self.parameters.values())}
        self._seen: WeakKeyDictionary[Optimizer, Seen] = WeakKeyDictionary()
        self._last: tuple[Callable[[], Optimizer | None], Seen] = (lambda: None), NOBODY  # that was asked for
        self._labels: WeakKeyDictionary[Optimizer, str] = WeakKeyDictionary()  # of those that are watched
        self._finds = optimizer is None
        self._strangers: WeakSet[Optimizer] = WeakSet()  # those that were not named
        self._inside: WeakSet[Optimizer] = WeakSet()  # those by which another one updates a part of its parameters
        self.notes: list[str] = []  # what there is to say of optimizers since it was taken
        self.add(optimizer)

    def add(self, optimizer: Any) -> list[Optimizer]:
        """Watch these too: one, a list or a dict of them."""
        given = list(_labelled(optimizer))
        for label, one in given:
            if not self._watch(one, label or self._unused_label()).members:
                raise RecordError(
                    f"optimizer{f' {label!r}' if label else ''}: {type(one).__name__} updates none of the model's "
                    f"{len(self.parameters)} parameters; give the optimizer that was made from them"
                )
        return [one for _, one in given]

    def take_notes(self) -> list[str]:
        """The notes so far, each once."""
        notes, self.notes = self.notes, []
        return notes

    def seen(self, optimizer: Optimizer) -> Seen:
        """What this optimizer updates, as it is now; asked before each update, so it looks for changes only."""
        if self._last[0]() is optimizer and (seen := self._last[1]).still(optimizer):
            return seen
        seen = self._new(optimizer)
        self._last = ref(optimizer), seen
        return seen

    def _new(self, optimizer: Optimizer) -> Seen:
        if optimizer in self._inside:
            return NOBODY
        seen = self._seen.get(optimizer)
        if seen is not None and seen.still(optimizer):
            return seen
        if optimizer in self._labels:
            return self._look(optimizer, before=seen)
        if self._finds:
            return self._watch(optimizer, self._unused_label())
        self._pass_over(optimizer)
        return NOBODY

    def watched(self) -> list[Optimizer]:
        """Those known so far."""
        return list(self._labels)

    def _pass_over(self, optimizer: Optimizer) -> None:
        """Say once of an optimizer that was not named that it updates the model all the same."""
        if optimizer not in self._strangers:
            self._strangers.add(optimizer)
            own = {id(p) for _, p in named_parameters(self.models)}
            if any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
                self.notes.append(
                    f"{type(optimizer).__name__} updates the model but is none of the optimizers that were named, so "
                    "its updates are not recorded; name it in run.phase(name, optimizer=...), or name none"
                )

    def _watch(self, optimizer: Optimizer, label: str) -> Seen:
        seen = self._look(optimizer, label=label)
        if seen.members:
            self._labels[optimizer] = label
        return seen

    def _unused_label(self) -> str:
        used = set(self._labels.values())
        return next(label for label in ("", *(f"optimizer{k + 1}" for k in range(len(used)))) if label not in used)

    def _look(self, optimizer: Optimizer, *, before: Seen | None = None, label: str = "") -> Seen:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if any(id(p) not in self._index for p in parameters):
            self._learn(parameters, {} if before is None else dict.fromkeys(map(id, before.parameters)))
        members = [(self._index[id(p)], p) for p in parameters if id(p) in self._index]
        if members and isinstance(inner := getattr(optimizer, "optim", None), Optimizer):  # ZeroRedundancyOptimizer
            self._inside.add(inner)
        rates = _rates(before.rates if before else [], len(optimizer.param_groups), self._labels.get(optimizer, label))
        seen = self._seen[optimizer] = Seen(parameters, members, rates)
        return seen

    def _learn(self, parameters: list[torch.Tensor], before: Mapping[int, None]) -> None:
        names = {id(p): name for name, p in named_parameters(self.models)}
        for k, p in enumerate(parameters):
            if id(p) in self._index:
                continue
            if name := names.get(id(p), ""):
                self._take_in(name, p)
            elif before and id(p) not in before:
                numbered = (f"parameter {n} of an optimizer" for n in count(k))
                self._take_in(next(name for name in numbered if name not in self.parameters), p)

    def _take_in(self, name: str, p: torch.Tensor) -> None:
        """Give the parameter its row: that of its name, unless the one there has another shape."""
        layer = name.rpartition(".")[0]
        if name in self.parameters and self.parameters[name].shape != p.shape:
            name = f"{name} ({' x '.join(map(str, p.shape))})"
        if name not in self.parameters:
            self.arrived.append(tensor_facts(name, layer, p))
        self.parameters[name] = p
        self._index[id(p)] = list(self.parameters).index(name)


def _labelled(optimizer: Any) -> Iterator[tuple[str, Optimizer]]:
    """One, a list or a dict of optimizers -> (label, optimizer); one has the label ""."""
    if optimizer is None:
        return
    given = by_label(optimizer)
    if list(given) == ["0"]:
        given = {"": given["0"]}
    for label, one in given.items():
        if not isinstance(one, Optimizer):
            raise RecordError(
                f"optimizer: expected a torch.optim.Optimizer, a list or a dict of them, got {type(one).__name__}; "
                "leave it out and the optimizers that update the model are found"
            )
        inner = getattr(one, "optimizer", None)  # Accelerate and others wrap an optimizer in one
        yield label, inner if isinstance(inner, Optimizer) else one


def _rates(known: list[str], groups: int, label: str) -> list[str]:
    """The names of so many learning rates; a group that comes later does not change those of the groups before."""
    name = f"learning_rate/{label}" if label else "learning_rate"
    named = known or ([name] if groups == 1 else [])
    return [*named, *(f"{name}/{k}" for k in range(len(named), groups))][:groups]


def tensor_facts(name: str, layer: str, p: torch.Tensor) -> TensorFacts:
    """What is known of a parameter before it is measured; complex numbers are pairs, in a dimension of their own."""
    shape = (*p.shape, 2) if p.is_complex() else tuple(p.shape)
    return TensorFacts(name, shape, str(p.dtype).removeprefix("torch."), layer, p.requires_grad)
