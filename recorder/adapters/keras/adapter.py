"""How is a Keras training watched without changing it?

The optimizer's `apply` is wrapped on the object, and the model's `train_step` and `compute_loss`, before Keras traces
them: the graph then also writes what an update is about to use to a `Tape`, which is read when a batch (or a block of
`steps_per_execution`) has ended. It works in graphs, under XLA and eagerly alike. The train function is made anew on
the way in and on the way out, so that neither an old graph escapes the recording nor a new one outlives it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from recorder.adapters.keras import weights
from recorder.adapters.keras.callback import RunCallback
from recorder.adapters.keras.copies import host_view
from recorder.adapters.keras.model import (
    checked,
    innermost,
    labelled_optimizers,
    named_weights,
    tensor_facts,
)
from recorder.adapters.keras.probe_pass import ProbePass
from recorder.adapters.keras.tape import NO_SLOT, Iteration, Tape, bytes_of_a_slot, slots_for
from recorder.adapters.keras.wrapping import wrapped
from recorder.adapters.rows import HostRows, Update, by_address, merged
from recorder.analysis import statistics
from recorder.analysis.kept import Flat
from recorder.errors import RecordError
from recorder.number import as_float
from recorder.probe import AUGMENTATIONS, augmented, named
from recorder.reading import Collected, Facts, Plan, Probed, ProbeFacts

GRADIENT_POINT = (
    "before the update and before Keras's own clipping, without the loss scale; the mean of those accumulated"
)
SKIPPED = "update skipped by the loss scale: a gradient was not finite"
XLA = "the training step is compiled by XLA: with and without recording the results agree to rounding, not bit for bit"
LOSS = 0  # the first column of the numbers; behind it the learning rates

# Graphs of the user's own (tf.function) that were traced during a recording write to its tape as long as they live. It
# waits here for the next recording; while one has it, another at the same time gets a tape of its own.
_TAPES: WeakKeyDictionary[Any, Tape] = WeakKeyDictionary()


class KerasAdapter:
    """Watches a `keras.Model` on the TensorFlow backend; see `recorder.reading.Adapter`.

    optimizer  one, a list or a dict; None: that of `model.compile`
    probe      what the model is called with, or (x, y), see `probe_pass.ProbePass`; or several by name
    layers     names, globs or layer classes to probe; None: the leaves
    """

    lag = 0

    def __init__(self, model: Any, *, optimizer: Any = None, probe: Any = None, layers: Any = None) -> None:
        self._model = checked(model)
        self._optimizers = labelled_optimizers(model, optimizer)
        self._compiled = model.optimizer if optimizer is None else None
        self._weights = named_weights(model)
        self._names = tuple(self._weights)
        self._index = {id(v): i for i, v in enumerate(self._weights.values())}
        arrays = list(map(host_view, (v.value for v in self._weights.values())))
        self._kinds = [(x.size, x.dtype) for x in arrays]  # numbers of entries, and their types
        self._layers = layers
        self._probes = {name: ProbePass(model, one, layers) for name, one in named(probe).items()}
        self._limits: tuple[str, ...] = ()  # of the probes
        self._plan: Callable[[], Plan] = Plan
        self._wants: Callable[[int], bool] = lambda ahead: False  # noqa: ARG005
        self._tape: Tape | None = None
        self._attached = ExitStack()
        self._clear()

    def _clear(self) -> None:
        self._rows = HostRows(self._names)
        self._ended: deque[Iteration] = deque()  # iterations of a block that are not collected yet
        self._inside = False  # Python is inside the model's train_step: Keras traces it, or runs it eagerly
        self._sees_loss = False
        self._foreign = False  # an update was traced outside of it, in a graph that is not ours to make anew
        self._crowded = self._told_of_xla = self._told_of_another = False
        self._problem: Exception | None = None
        self._notes: list[tuple[str, str]] = []

    # -- before the first step ------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        probes = self._probe_facts()
        default = next(iter(probes.values()), None)
        places = (tf.DeviceSpec.from_string(v.value.device) for v in self._weights.values())
        return Facts(
            framework="keras",
            tensors=tensor_facts(self._model, self._weights),
            layers=() if default is None else default.layers,
            probe_samples=0 if default is None else default.samples,
            gradient_point=GRADIENT_POINT,
            device=", ".join(dict.fromkeys(f"{p.device_type}:{p.device_index}".lower() for p in places)),
            probes=probes,
        )

    def _probe_facts(self) -> dict[str, ProbeFacts]:
        """Each probe with the layers that answer to it."""
        found, limits = {}, dict[str, None]()
        for name, one in self._probes.items():
            answers = one.run()
            shapes = {model: x.shape[1:] for model, x in answers.outputs.items()}
            found[name] = replace(one.facts, layers=one.layers(answers.activations), outputs=shapes)
            limits.update(dict.fromkeys(one.notes))
        self._limits = tuple(limits)
        return found

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        one = self._probes[name]
        return one.inputs if one.given.store else {}

    def augment(self) -> None:
        if self._probes and AUGMENTATIONS not in self._probes:
            first = next(iter(self._probes.values()))
            probe = augmented(first.given, first.facts, first.inputs)
            self._probes[AUGMENTATIONS] = ProbePass(self._model, probe, self._layers)

    def attach(self, plan: Callable[[], Plan]) -> None:
        self.detach()
        self._plan = plan
        self._notes = [("note", text) for text in self._limits]
        statistics.warm_up({dtype for _, dtype in self._kinds})
        for column, optimizer in enumerate(self._optimizers.values(), LOSS + 1):
            inner = innermost(optimizer)
            if inner is not optimizer:
                self._attached.enter_context(wrapped(optimizer, "apply", partial(self._around_scaled, column)))
            around = partial(self._around_apply, inner, column if inner is optimizer else None)
            self._attached.enter_context(wrapped(inner, "apply", around))
        self._attached.enter_context(wrapped(self._model, "train_step", self._around_train_step))
        self._attached.enter_context(wrapped(self._model, "compute_loss", self._around_compute_loss))
        self._trace_anew()

    def detach(self) -> None:
        was_attached, tape = bool(vars(self._attached).get("_exit_callbacks")), self._tape
        self._attached.close()
        self._plan, self._tape = Plan, None
        if tape is not None:
            tape.stop()
            if self._foreign:
                _TAPES[self._key] = tape
        if was_attached:
            self._trace_anew()
        self._clear()

    def _trace_anew(self) -> None:
        """Let Keras make its train function again, also in the middle of `fit`, which holds on to none."""
        if getattr(self._model, "train_function", None) is not None:
            self._model.make_train_function(force=True)

    def expect(self, wants: Callable[[int], bool]) -> None:
        """Told whenever the coming updates are others than before: `wants(k)`, whether the k-th is measured."""
        self._wants = wants
        if self._tape is None:
            self._tape = self._new_tape(self._block)
        if not self._ended and not self._tape.want(wants(k) for k in range(self._tape.block)) and not self._crowded:
            self._crowded = True
            self._notes.append(
                ("note", f"of {self._tape.block} steps an execution at most {self._tape.slots} are measured")
            )

    def bytes_for(self, wants: Callable[[int], bool]) -> int:
        """The memory of the graph's copies; that of a block's wanted updates, before there are any."""
        slots = self._tape.slots if self._tape is not None else slots_for(wants, self._block)
        return slots * bytes_of_a_slot(self._weights.values())

    @property
    def _block(self) -> int:
        """How many iterations a call of the train function makes."""
        return int(getattr(self._model, "steps_per_execution", 1)) if self._compiled is not None else 1

    def _new_tape(self, block: int) -> Tape:
        weights, slots = list(self._weights.values()), slots_for(self._wants, block)
        numbers = [np.nan, *(float(tf.convert_to_tensor(one.learning_rate)) for one in self._optimizers.values())]
        tape = _TAPES.pop(self._key, None)
        if tape is None or not tape.fits(weights, block=block, slots=slots, numbers=len(numbers)):
            return Tape(weights, numbers, block=block, slots=slots)
        self._foreign = True
        if tape.unread:
            tape.read()
        return tape

    @property
    def _key(self) -> Any:
        """Of the tape that waits for the next recording."""
        return next(iter(self._optimizers.values()))

    # -- what Keras calls, mostly while it traces -----------------------------------------------------------------

    def _around_train_step(self, original: Any) -> Any:
        def train_step(*args: Any, **kwargs: Any) -> Any:
            self._write(lambda tape: tape.begin())
            if (text := self._another_optimizer()) and not self._told_of_another:
                self._told_of_another = True
                self._notes.append(("warning", text))
            self._inside = True
            try:
                return original(*args, **kwargs)
            finally:
                self._inside = False

        return train_step

    def _around_compute_loss(self, original: Any) -> Any:
        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            if self._inside and loss is not None:
                self._sees_loss = True
                self._write(lambda tape: tape.number(LOSS, loss))
            return loss

        return compute_loss

    def _around_scaled(self, column: int, original: Any) -> Any:
        """Around the `apply` of a LossScaleOptimizer, which leaves out updates that are not finite."""
        optimizer = list(self._optimizers.values())[column - 1]

        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            self._write(lambda tape: tape.attempt(refused=True))
            self._write(lambda tape: tape.number(column, optimizer.learning_rate))
            return original(grads, trainable_variables)

        return apply

    def _around_apply(self, optimizer: Any, column: int | None, original: Any) -> Any:
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = None if trainable_variables is None else list(trainable_variables)
            if column is None:  # inside that of a LossScaleOptimizer, which let it pass
                self._write(lambda tape: tape.attempt(refused=False))
            else:
                self._write(lambda tape: tape.number(column, optimizer.learning_rate))
            self._write(lambda tape: self._about_to_update(tape, optimizer, grads, variables))
            return original(grads, variables)

        return apply

    def _about_to_update(
        self, tape: Tape, optimizer: Any, grads: Sequence[Any], variables: Sequence[Any] | None
    ) -> None:
        self._foreign |= not self._inside and not tf.executing_eagerly()
        given = optimizer._trainable_variables if variables is None else variables
        pairs = [(v, g) for v, g in zip(given, grads, strict=True) if g is not None and id(v) in self._index]
        if not pairs:
            return
        sums, steps = {}, optimizer.gradient_accumulation_steps
        if steps:
            if not optimizer.built:
                optimizer.build(list(given))
            sums = dict(zip(map(id, optimizer._trainable_variables), optimizer._accumulated_gradients, strict=True))
        scale = optimizer.loss_scale_factor
        members = [(self._index[id(v)], partial(_used, g, sums.get(id(v)), steps=steps, scale=scale)) for v, g in pairs]
        if steps:
            due = tf.equal((tf.convert_to_tensor(optimizer._iterations.value) + 1) % steps, 0)
            tf.cond(due, lambda: tape.update(members), lambda: tf.constant(False))
        else:
            tape.update(members)

    def _write(self, what: Callable[[Tape], Any]) -> None:
        """What fails here is raised in `collect`, not in the training."""
        if self._tape is None or self._problem is not None:
            return
        try:
            tf.autograph.experimental.do_not_convert(what)(self._tape)
        except Exception as problem:
            self._problem = problem

    # -- between batches ------------------------------------------------------------------------------------------

    def callback(self, run: Any) -> RunCallback:
        """What `model.fit` is given so that its batches and epochs are steps and epochs of `run`."""
        return RunCallback(run, self)

    def fit_begins(self, model: Any) -> None:
        """RecordError where `fit` trains something else than what is watched."""
        if self._tape is None:
            return
        if model is not self._model:
            raise RecordError(f"run.callback(): it records the model {self._model.name!r}, not {model.name!r}")
        if text := self._another_optimizer():
            raise RecordError(f"run.callback(): {text}")
        if model.jit_compile and not model.run_eagerly and not self._told_of_xla:
            self._told_of_xla = True
            self._notes.append(("note", XLA))
        if (block := int(model.steps_per_execution)) != self._tape.block:
            self._tape.stop()
            self._tape = self._new_tape(block)
            self.expect(self._wants)
            model.make_train_function(force=True)

    def _another_optimizer(self) -> str:
        """What is wrong where `compile` gave the model an optimizer that is not watched."""
        if self._compiled is None or self._model.optimizer is self._compiled:
            return ""
        return (
            f"the optimizer of {self._model.name!r} is not the one that it had at record(...), so its updates are not "
            "seen; compile the model before `with record(...)`, and where a phase has an optimizer of its own, go on "
            "in another block: record(..., resume=True, step=run.steps)"
        )

    def block(self) -> list[dict[str, float]]:
        """The iterations that a call of the train function made: the loss of each, where it is known."""
        if self._tape is None or self._problem is not None:
            return [{}]
        self._ended.extend(self._tape.read())
        return [{"loss": one.numbers[LOSS]} if self._sees_loss else {} for one in self._ended]

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        if self._problem is not None:
            raise self._problem
        assert self._tape is not None
        if not self._ended:
            self._ended.extend(self._tape.read())
        one, rest = self._ended.popleft(), dict(scalars)
        rates = dict(zip(self._rate_names, one.numbers[LOSS + 1 :], strict=True))
        numbers = {name: as_float(value) for name, value in {**rates, **rest}.items()}
        notes, self._notes = [*self._notes, *([("skipped", SKIPPED)] if one.refused else [])], []
        plan = self._measure(self._tape, one) if one.stepped.any() else Plan()
        rows = merged([self._rows.end()], plan.statistics, len(self._names))
        collected = Collected(rows.table, rows.stepped, rows.raw, numbers, tuple(notes), norms_before=rows.norms_before)
        return lambda: collected

    def _measure(self, tape: Tape, one: Iteration) -> Plan:
        plan, updated = self._plan(), np.flatnonzero(one.stepped).tolist()
        if not plan or one.slot == NO_SLOT:
            self._rows.pass_by(updated)
            return plan
        held = tape.held(one.slot)
        if by_address(plan):
            places = ((i, *self._kinds[i], held.address(i), held.address(tape.gradient(i))) for i in updated)
            self._rows.measure_flat(plan, list(map(Flat._make, places)))
        else:
            arrays = ((i, held.array(i), held.array(tape.gradient(i))) for i in updated)
            self._rows.measure(plan, (Update(*each) for each in arrays))
        return plan

    @property
    def _rate_names(self) -> list[str]:
        return [f"learning_rate/{label}" if label else "learning_rate" for label in self._optimizers]

    @property
    def unread(self) -> bool:
        """Whether there were updates that no `run.step()` followed."""
        return self._tape is not None and self._tape.unread

    def read(self, plan: Plan) -> Collected:
        self._rows.end()
        weights = self._weights.values()
        self._rows.measure(plan, (Update(i, host_view(v.value), None) for i, v in enumerate(weights)))
        rows = merged([self._rows.end()], plan.statistics, len(self._names))
        return Collected(rows.table, rows.stepped, rows.raw, {})

    def probe(self, name: str = "") -> Probed:
        if not self._probes:
            return Probed({}, {})
        return self._probes[name or next(iter(self._probes))].run()

    def save(self, path: Path) -> None:
        self._model.save_weights(path)

    def load(self, path: Path, *, key: str = "") -> str:
        return weights.load(self._model, path, key=key)

    def model(self) -> Any:
        return self._model


def _used(gradient: Any, accumulated: Any, *, steps: int | None, scale: float | None) -> tf.Tensor:
    """The gradient that the update uses; computed in the graph, and only where it is wanted."""
    dense = tf.convert_to_tensor(gradient)
    dense = dense if scale is None else dense / scale
    return dense if steps is None else (dense + tf.convert_to_tensor(accumulated.value)) / steps
