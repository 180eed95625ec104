"""What does every layer of a Keras model answer to the probe batch, without a trace left in it?

The probe is one eager call with `training=False`, during which the `call` of each probed layer is wrapped on the layer
object. Variables that are not trained (moving means, seeds) and every random generator are put back as they were.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.eager import context as tf_context

from recorder.adapters.given import matching
from recorder.adapters.keras.model import is_leaf, named_layers
from recorder.adapters.keras.wrapping import wrapped
from recorder.errors import RecordError
from recorder.probe import Probe, array_of, described
from recorder.reading import LayerFacts, Probed

# leaves that pass numbers on, or only drop or move some while training
SILENT = (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity,
          keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D,
          keras.layers.SpatialDropout3D, keras.layers.GaussianDropout, keras.layers.AlphaDropout,
          keras.layers.GaussianNoise, keras.layers.ActivityRegularization)  # fmt: skip
STEPWISE = (keras.layers.RNN, keras.layers.TimeDistributed)  # call what is inside once for each position of a sequence
BOUNDED = {"sigmoid": "Sigmoid", "hard_sigmoid": "Hardsigmoid", "tanh": "Tanh", "hard_tanh": "Hardtanh",
           "softsign": "Softsign"}  # fmt: skip
STYLES = re.compile(r"\x1b\[[0-9;]*m")  # Keras prints its errors in bold
CALLS = 4  # of one layer in one forward pass


class ProbePass:
    """One probe, the layers that are watched while it passes, and what is known of it.

    `probe` is what the model is called with, or a tuple (x, y) as `fit` takes it, of which x is used; or a
    `recorder.Probe` of these. `layers` are names, globs over names, or layer classes; None: every leaf but dropout,
    noise, identity and flatten.
    """

    def __init__(self, model: Any, probe: Any, layers: Sequence[str | type] | None = None) -> None:
        self._model = model
        self.given = probe if isinstance(probe, Probe) else Probe(probe)
        given, pair = self.given.inputs, isinstance(self.given.inputs, tuple)
        self._inputs = keras.tree.map_structure(_fixed, given[0] if pair else given)
        tensors = keras.tree.flatten(self._inputs)
        if not tensors or not tensors[0].shape.rank:
            raise RecordError(f"probe: expected a batch of what {model.name!r} is called with, got {given!r:.80}")
        self._names = _names(self._inputs)
        self.facts = described(
            self.given,
            self.inputs,
            labels=given[1] if pair and len(given) > 1 else None,
            channels_last=keras.config.image_data_format() == "channels_last",
            dtypes={name: x.dtype.name for name, x in zip(self._names, tensors, strict=True)},
        )
        self.samples = self.facts.samples
        self.watched = _chosen(model, layers)
        self.notes: list[str] = []
        self._last_axis = True

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Input -> (sample, ...); "" is the only one."""
        return dict(zip(self._names, map(array_of, keras.tree.flatten(self._inputs)), strict=True))

    def run(self) -> Probed:
        """Activations (sample, unit, ...) float32; a layer's second call is named `name:2`."""
        found: dict[str, np.ndarray] = {}
        self.notes.clear()
        self._last_axis = keras.config.image_data_format() == "channels_last"
        try:
            with untouched(self._model), eagerly(), ExitStack() as wraps:
                for name, layer in self.watched.items():
                    wraps.enter_context(wrapped(layer, "call", self._watch(name, layer, found)))
                output = self._model(self._inputs, training=False)
        except Exception as error:
            shapes = ", ".join(str(tuple(x.shape)) for x in keras.tree.flatten(self._inputs))
            said = " ".join(STYLES.sub("", str(error)).partition("Arguments received")[0].split()).rstrip(".")
            raise RecordError(
                f"probe: {self._model.name!r} failed on {shapes}: {type(error).__name__}: {said}. Give as probe what "
                "the model is called with, or a tuple (x, y)"
            ) from error
        tensors = [x for x in keras.tree.flatten(output) if tf.is_tensor(x) and x.dtype.is_floating]
        predicted = next((x for x in tensors if x.shape.rank and x.shape[0] == self.samples), None)
        return Probed(found, {} if predicted is None else {"": tf.cast(predicted, tf.float32).numpy()})

    def layers(self, found: Mapping[str, np.ndarray]) -> tuple[LayerFacts, ...]:
        """What is known of the layers that answered."""
        return tuple(
            LayerFacts(name, _kind(self.watched[name.rpartition(":")[0] or name]), tuple(x.shape[1:]))
            for name, x in found.items()
        )

    def _watch(self, name: str, layer: Any, found: dict[str, np.ndarray]) -> Callable[[Any], Any]:
        calls = 0

        def around(call: Any) -> Any:
            def watching(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                output = call(*args, **kwargs)
                calls += 1
                if calls <= CALLS:
                    self._keep(name if calls == 1 else f"{name}:{calls}", layer, output, found)
                elif calls == CALLS + 1:
                    self.notes.append(f"layer {name!r}: only its first {CALLS} calls in a forward pass are probed")
                return output

            return watching

        return around

    def _keep(self, name: str, layer: Any, output: Any, found: dict[str, np.ndarray]) -> None:
        tensor = next((x for x in keras.tree.flatten(output) if tf.is_tensor(x)), None)
        if tensor is None or not tensor.dtype.is_floating:
            self.notes.append(f"layer {name!r} gives no floating-point tensor: not probed")
        elif tensor.shape.rank == 0 or tensor.shape[0] != self.samples or 0 in tensor.shape:
            self.notes.append(
                f"layer {name!r} gives {tuple(tensor.shape)}, not ({self.samples} samples, ...): not probed"
            )
        else:
            order = getattr(layer, "data_format", None)
            self._last_axis = order != "channels_first" if order else self._last_axis
            array = tf.cast(tensor, tf.float32).numpy()
            found[name] = (
                np.ascontiguousarray(np.moveaxis(array, -1, 1)) if self._last_axis and array.ndim > 2 else array
            )


def _fixed(x: Any) -> tf.Tensor:
    """The probe stays what it is now, whatever becomes of the user's array."""
    return tf.constant(np.array(x))


def _names(inputs: Any) -> list[str]:
    """Of several inputs the keys of a dict, the places of a list; "" is the only one."""
    if tf.is_tensor(inputs):
        return [""]
    if isinstance(inputs, Mapping) and all(tf.is_tensor(x) for x in inputs.values()):
        return [str(name) for name in sorted(inputs)]  # the order in which a tree is flattened
    return [str(k) for k in range(len(keras.tree.flatten(inputs)))]


def _chosen(model: Any, layers: Sequence[str | type] | None) -> dict[str, Any]:
    known = dict(named_layers(model))
    if layers is None:
        stepwise = tuple(f"{name}/" for name, layer in known.items() if isinstance(layer, STEPWISE))
        return {
            name: layer
            for name, layer in known.items()
            if is_leaf(layer) and not isinstance(layer, SILENT) and not name.startswith(stepwise)
        }
    try:
        return matching(layers, known)
    except RecordError as error:
        raise RecordError(
            f"{error}. Keras numbers layers without a name in the order in which a process makes them: give them "
            "names, or make the model first in a process of its own"
        ) from None


def _kind(layer: Any) -> str:
    """The class of the layer; where its outputs are bounded, the activation that bounds them."""
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    recurrent = hasattr(layer, "cell") or hasattr(layer, "recurrent_activation")
    return type(layer).__name__ if recurrent else BOUNDED.get(activation, type(layer).__name__)


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Outside, what the model does not train and all random states are what they were, also after an exception."""
    states = [(v, v.numpy()) for v in model.non_trainable_variables]
    shared = global_state.get_global_attribute("global_seed_generator")  # None until a first draw makes it
    states += [] if shared is None else [(shared.state, shared.state.numpy())]
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    draws = getattr(tf_context.context(), "_rng", None)  # gives seeds to eager operations that have none
    drawn = None if draws is None else draws.getstate()
    if draws is not None:
        draws.seed("probe")  # other ones than training will have: an operation's own state cannot be put back
    try:
        yield
    finally:
        for variable, before in states:
            if not np.array_equal(variable.numpy(), before):
                variable.assign(before)
        if shared is None:
            global_state.set_global_attribute("global_seed_generator", None)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        if draws is not None:
            draws.setstate(drawn)


@contextmanager
def eagerly() -> Iterator[None]:
    """Inside, what is a tf.function runs as plain Python."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)
