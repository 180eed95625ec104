"""How is a PyTorch training watched without changing it?

One hook runs before every optimizer step, for optimizers that own the model's parameters, and measures what the update
is about to use: gradients after reduction (DDP) and clipping, divided by the gradient scaler's factor where the
optimizer does that itself. With a closure (LBFGS, Lightning) the first evaluation is measured. No object of the user's
is altered: the hook is torch's global one, and the probe's hooks live for one forward pass. Only an optimizer with step
hooks of its own, which run after the global one and may change gradients, has ours as its last while it is watched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from recorder.adapters.rows import Rows, merged
from recorder.adapters.torch import shards, weights
from recorder.adapters.torch.cuda import CudaPass, later
from recorder.adapters.torch.host import HostPass, Members, Pass, host_view
from recorder.adapters.torch.names import named_models
from recorder.adapters.torch.optimizers import Optimizers, tensor_facts
from recorder.adapters.torch.probe_pass import Layers
from recorder.adapters.torch.probes import Probes
from recorder.adapters.torch.taps import clipping, scaled_step
from recorder.analysis import statistics
from recorder.number import as_float
from recorder.reading import Collected, Facts, Plan, Probed, ProbeFacts, Statistic, TensorFacts

if TYPE_CHECKING:
    from recorder.adapters.torch.sharded import Sharded

GRADIENT_POINT = "before the update, after reduction and clipping, without the loss scale"
CPU = torch.device("cpu")
SKIPPED = "update skipped by the gradient scaler: a gradient was not finite"


class TorchAdapter:
    """Watches a `torch.nn.Module` or a dict of them; see `recorder.reading.Adapter`.

    optimizer  one, a list or a dict; None: every optimizer that owns one of the model's parameters
    probe      what the model takes, see `probe_pass.ProbePass`; or several by name
    layers     names, globs or module classes to probe; None: the leaves
    """

    def __init__(self, model: Any, *, optimizer: Any = None, probe: Any = None, layers: Layers = None) -> None:
        self._models = named_models(model)
        for one in self._models.values():
            shards.refuse_flat(one)
        self._optimizers = Optimizers(self._models, optimizer)
        self._probes = Probes(self._models, probe, layers)
        self._names = tuple(self._optimizers.parameters)
        self._owners = {id(p): name for name, m in self._models.items() for p in m.parameters()}
        self.lag = int(any(p.is_cuda for p in self._optimizers.parameters.values()))
        self.processes = shards.processes(self._optimizers.parameters.values())  # that have parts of them; 0: no parts
        self._plan: Callable[[], Plan] = Plan
        self._hook: Any = None
        self._last: WeakKeyDictionary[Optimizer, Any] = WeakKeyDictionary()  # our hook behind an optimizer's own
        self._pid = -1
        self._clear()

    def _clear(self) -> None:
        self._passes: dict[torch.device, Pass] = {}
        self._rates: dict[str, Any] = {}
        self._clips: dict[str, tuple[float, Any]] = {}  # model -> (maximum norm, norm)
        self._skips: list[torch.Tensor] = []
        self._notes: list[tuple[str, str]] = []
        self._noted: set[str] = set()
        self._problem: Exception | None = None
        self._ended: list[Callable[[], Rows]] = []  # measured in this iteration before more tensors came
        self._arrived: tuple[TensorFacts, ...] = ()
        self._wanted: frozenset[Statistic] = frozenset()  # by the last update of this iteration
        self.several = False  # updates of a tensor that has parts, in this iteration
        self._moved: set[int] = set()  # such tensors that were updated in it
        self._fired: set[int] = set()  # ids of the optimizers whose update was seen in this iteration
        self._touched = False  # a pass was, in this iteration
        self._seconds = 0.0

    # -- before the first step ------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        parameters, probes = self._optimizers.parameters, dict(self._probes.facts())
        default = next(iter(probes.values()), ProbeFacts(0))
        return Facts(
            framework="torch",
            tensors=tuple(tensor_facts(name, name.rpartition(".")[0], p) for name, p in parameters.items()),
            layers=default.layers,
            probe_samples=default.samples,
            gradient_point=GRADIENT_POINT,
            device=", ".join(dict.fromkeys(str(p.device) for p in parameters.values())),
            probes=probes,
        )

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        return self._probes.inputs(name)

    def augment(self) -> None:
        self._probes.augment()

    def attach(self, plan: Callable[[], Plan]) -> None:
        self.detach()
        self._plan, self._pid = plan, os.getpid()
        self._notes = [("note", text) for text in self._probes.limits]
        deaf = [words for tap, words in ((clipping, "clipping"), (scaled_step, "skipped updates")) if not tap.there]
        self._notes += [("note", f"{words} cannot be seen with torch {torch.__version__}") for words in deaf]
        self._warm_up()
        for optimizer in self._optimizers.watched():
            self._optimizers.seen(optimizer).put_rates(optimizer, self._rates)
        self._hook = register_optimizer_step_pre_hook(torch.compiler.disable(self._before_step))
        clipping.listen(self._clipped)
        scaled_step.listen(self._scaled)

    def _warm_up(self) -> None:
        here = map(shards.part, self._optimizers.parameters.values())
        statistics.warm_up({host_view(p).dtype for p in here if not p.is_cuda})

    def detach(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        while self._last:
            self._last.popitem()[1].remove()
        clipping.leave(self._clipped)
        scaled_step.leave(self._scaled)
        self._plan = Plan
        self._clear()

    # -- during training ------------------------------------------------------------------------------------------

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """The global hook; `args` begin with the optimizer."""
        hooks = getattr(optimizer, "_optimizer_step_pre_hooks", None)
        if hooks and (ours := self._last.pop(optimizer, None)) is not None:
            ours.remove()
        if not hooks:
            return self._watch(optimizer, args, kwargs)
        self._last[optimizer] = optimizer.register_step_pre_hook(torch.compiler.disable(self._watch))
        return None

    def _watch(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Measure this update. What fails here is raised in `collect`, not in the training."""
        if self._problem is not None or os.getpid() != self._pid:
            return None
        closure = kwargs["closure"] if "closure" in kwargs else args[1] if len(args) > 1 else None
        if not callable(closure):
            self._measure(optimizer)
            return None

        first = True

        def evaluate(*a: Any, **k: Any) -> Any:
            nonlocal first
            loss = closure(*a, **k)
            if first:
                first = False
                self._measure(optimizer)
            return loss

        if "closure" in kwargs:
            return args, {**kwargs, "closure": evaluate}
        return (args[0], evaluate, *args[2:]), kwargs

    def _measure(self, optimizer: Optimizer) -> None:
        began = perf_counter()
        try:
            seen = self._optimizers.seen(optimizer)
            if self._optimizers.notes:
                self._notes += [("warning", text) for text in self._optimizers.take_notes()]
            self._grow()
            if seen.members:
                self._fired.add(id(optimizer))
                seen.put_rates(optimizer, self._rates)
                self._update(
                    seen.members, getattr(optimizer, "grad_scale", None), getattr(optimizer, "found_inf", None)
                )
        except Exception as problem:
            self._problem = problem
        self._seconds += perf_counter() - began

    def _update(self, members: Members, scale: Any, skipped: Any) -> None:
        if isinstance(skipped, torch.Tensor):
            self._skips.append(skipped.detach())
        plan = self._plan()
        self._wanted = plan.statistics
        if not plan and not any(there.keeps for there in self._passes.values()):
            return
        if self.processes:
            moved = {i for i, _ in members}
            self.several |= not moved.isdisjoint(self._moved)
            self._moved |= moved
            members, scale, skipped = self._parts(members), shards.number(scale), shards.number(skipped)
        for device, there in _by_device(members).items():
            if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                self._note_once("note", "updates replayed from a CUDA graph are not recorded")
                self._pass(device).update(
                    Plan(), there, None, None
                )  # what was kept is out of date; nothing is launched
                continue
            self._pass(device).update(plan, there, scale, skipped)
            self._touched = True

    def _parts(self, members: Members) -> Members:
        parts = [(i, shards.with_gradient(p)) for i, p in members]
        for (i, _), (_, found) in zip(members, parts, strict=True):
            if found is None:
                text = f"{self._names[i]}: its gradient is spread otherwise than the tensor, and so it is not measured"
                self._note_once("note", text)
        return [(i, found) for i, found in parts if found is not None]

    def _grow(self) -> None:
        """Make room for the tensors that came since the last look."""
        if not self._optimizers.arrived:
            return
        self._arrived += tuple(self._optimizers.arrived)
        self._optimizers.arrived.clear()
        self._names = tuple(self._optimizers.parameters)
        self._owners = {id(p): name for name, m in self._models.items() for p in m.parameters()}
        self._warm_up()
        for there in self._passes.values():
            self._ended.append(there.rows())
            there.grow(self._names)

    def _pass(self, device: torch.device) -> Pass:
        if device not in self._passes:
            self._passes[device] = CudaPass(self._names) if device.type == "cuda" else HostPass(self._names)
        return self._passes[device]

    def _clipped(
        self, _result: Any, parameters: Any, max_norm: Any, total_norm: Any, *_args: Any, **_kwargs: Any
    ) -> None:
        owners = {self._owners[id(p)] for p in parameters if id(p) in self._owners} if self._here() else set()
        if owners:
            label = f"/{owners.pop()}" if len(owners) == 1 and "" not in self._models else ""
            self._clips[label] = float(max_norm), shards.number(total_norm.detach())

    def _scaled(self, _result: Any, _scaler: Any, optimizer: Optimizer, *_args: Any, **_kwargs: Any) -> None:
        if self._here() and self._problem is None and self._optimizers.seen(optimizer).members:
            if id(optimizer) not in self._fired:
                self._notes.append(("skipped", SKIPPED))
            self._fired.discard(id(optimizer))

    def _here(self) -> bool:
        return os.getpid() == self._pid

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        if self._problem is not None:
            raise self._problem
        wanted, self._wanted = self._wanted, frozenset()
        self._grow()
        rows = [*self._ended, *(p.rows() for p in self._passes.values())] if self._touched or self._ended else []
        tensors, arrived = len(self._names), self._arrived
        clips, skips, notes = self._clips, self._skips, self._notes
        norms = {f"gradient_norm_before_clipping{k}": norm for k, (_, norm) in clips.items()} if clips else {}
        if self.processes:
            scalars = {name: shards.number(value) for name, value in scalars.items()}
        numbers = numbers_later({**self._rates, **norms, **scalars})
        skipped = numbers_later({str(k): s for k, s in enumerate(skips)}) if skips else dict
        self._clips, self._skips, self._notes, self._ended, self._arrived = {}, [], [], [], ()
        self._touched = False
        self._fired.clear()
        self._moved, self.several = set(), False

        def read() -> Collected:
            found = numbers()
            for label, (limit, _) in clips.items():
                norm = found[f"gradient_norm_before_clipping{label}"]
                found[f"clip_factor{label}"] = float(np.minimum(1.0, limit / (norm + 1e-6)))
            if skips:
                notes.extend(("skipped", SKIPPED) for skip in skipped().values() if skip)
            whole = merged([r() for r in rows], wanted, tensors)
            return Collected(
                whole.table, whole.stepped, whole.raw, found, tuple(notes), arrived, whole.norms_before
            )  # fmt: skip

        return read

    def _note_once(self, kind: str, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._notes.append((kind, text))

    def take_seconds(self) -> float:
        """Seconds spent inside optimizer steps since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    # -- between updates ------------------------------------------------------------------------------------------

    def read(self, plan: Plan) -> Collected:
        self._grow()
        for unread in self._passes.values():
            unread.rows()  # of an iteration that has not ended
        here = list(enumerate(map(shards.part, self._optimizers.parameters.values())))
        for device, there in _by_device(here).items():
            self._pass(device).look(plan, there)
        whole = merged([p.rows()() for p in self._passes.values()], plan.statistics, len(self._names))
        arrived, self._arrived, self._ended = self._arrived, (), []
        return Collected(whole.table, whole.stepped, whole.raw, {}, arrived=arrived)

    def watch(self, optimizer: Any) -> None:
        """Optimizers that come with a phase, where those of the training were named."""
        for one in self._optimizers.add(optimizer):
            self._optimizers.seen(one).put_rates(one, self._rates)

    def probe(self, name: str = "") -> Probed:
        found, missing = self._probes.look(name)
        for layer in missing:
            text = f"layer {layer!r} has no part in the probe's pass any more: no values, and counts 0"
            self._note_once("note", text)
        return found

    @property
    def parameters(self) -> Collection[torch.Tensor]:
        """Of the run's tensors, in their order."""
        return self._optimizers.parameters.values()

    def together(self, *, rank: int, size: int, writer: int) -> Sharded:
        """The adapter of one of the processes that have parts of the tensors."""
        from recorder.adapters.torch.sharded import Sharded  # it needs torch.distributed, which not every torch has

        return Sharded(self, rank=rank, size=size, writer=writer)

    def state(self, *, keep: bool = True) -> Any:
        """The weights; of DTensors all entries, and then every process has to call this, also one that keeps none."""
        states: dict[str, Any] = {name: model.state_dict() for name, model in self._models.items()}
        if self.processes:
            states = {name: dict(_wholes(state, keep=keep)) for name, state in states.items()}
        return states.get("", states)

    def save(self, path: Path) -> None:
        torch.save(self.state(), path)

    def load(self, path: Path, *, key: str = "") -> str:
        return weights.load(self._models, path, key=key)

    def model(self) -> Any:
        return self._models[""] if "" in self._models else dict(self._models)


def numbers_later(values: Mapping[str, Any]) -> Callable[[], dict[str, float]]:
    """A thunk for the values as floats; those on a GPU are copied behind the work that is queued there."""
    ready: dict[str, float] = {}
    waiting: dict[torch.device, dict[str, torch.Tensor]] = {}
    for name, value in values.items():
        if type(value) is float:
            ready[name] = value
            continue
        ready[name] = np.nan  # the order of the names is that of the values
        if isinstance(value, torch.Tensor):
            value = value.detach()
            if value.is_cuda:
                waiting.setdefault(value.device, {})[name] = value.reshape(()).double()
                continue
        ready[name] = as_float(value)
    copies = [(list(group), later(torch.stack(list(group.values())))) for group in waiting.values()]

    def read() -> dict[str, float]:
        for names, copied in copies:
            ready.update(zip(names, map(float, copied()), strict=True))
        return ready

    return read


def _wholes(state: Mapping[str, Any], *, keep: bool) -> Iterator[tuple[str, Any]]:
    for key, x in state.items():
        found = shards.whole(x)
        if keep:
            yield key, found


def _by_device(members: Members) -> dict[torch.device, Members]:
    if all(parameter.is_cpu for _, parameter in members):
        return {CPU: members} if members else {}
    groups: dict[torch.device, list[tuple[int, torch.Tensor]]] = {}
    for member in members:
        groups.setdefault(member[1].device, []).append(member)
    return dict(groups)
