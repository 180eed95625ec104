"""What is in a Keras model, what is it called, and can it be watched at all?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from recorder.adapters.given import by_label
from recorder.errors import RecordError
from recorder.reading import TensorFacts

# have layers inside, but compute with them by themselves
WHOLE = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.MultiHeadAttention, keras.layers.TimeDistributed)


def checked(model: Any) -> Any:
    """`model`, when it can be watched; RecordError says what is in the way."""
    if isinstance(model, Mapping):
        raise RecordError(
            f"record: a dict of Keras models cannot be watched, got {', '.join(map(str, model))}; "
            "make them attributes of one keras.Model and give that, with optimizer={name: optimizer}"
        )
    if not isinstance(model, keras.Model):
        raise RecordError(f"record: cannot watch {type(model).__name__}; expected a keras.Model (Keras 3)")
    if not model.built or any(not layer.built for _, layer in named_layers(model)) or not model.weights:
        raise RecordError(
            f"record: the Keras model {model.name!r} is not built, so its weights do not exist yet; begin it with "
            "keras.Input(shape), or call model.build(input_shape), or the model on one batch, before record(...)"
        )
    if model.distribute_strategy.num_replicas_in_sync > 1:
        raise RecordError(
            f"record: the Keras model {model.name!r} is trained on {model.distribute_strategy.num_replicas_in_sync} "
            "replicas; only one can be watched: create the model outside of strategy.scope()"
        )
    return model


def check_backend() -> None:
    """RecordError unless Keras computes with TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise RecordError(
            f"record: Keras runs on the backend {keras.backend.backend()!r}; only 'tensorflow' can be watched: "
            "set KERAS_BACKEND=tensorflow before keras is imported"
        )


def named_layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer inside with its path, outer ones first; a shared layer once, by its first path."""
    seen: set[int] = set()

    def walk(parent: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for layer in getattr(parent, "layers", None) or parent._layers:
            if id(layer) in seen or isinstance(layer, keras.Metric):
                continue
            seen.add(id(layer))
            yield prefix + layer.name, layer
            yield from walk(layer, f"{prefix}{layer.name}/")

    return walk(model, prefix)


def is_leaf(layer: Any) -> bool:
    return isinstance(layer, WHOLE) or not (getattr(layer, "layers", None) or layer._layers)


def named_weights(model: Any) -> dict[str, Any]:
    """{path: variable} of the parameters, in the model's order: what is trained, or would be if it were not frozen."""
    owners = [model, *(layer for _, layer in named_layers(model))]
    parameters = {id(v) for owner in owners for v in owner._trainable_variables}
    found: dict[str, Any] = {}
    for variable in model.weights:
        if id(variable) in parameters:
            name, k = variable.path, 2
            while name in found:
                name, k = f"{variable.path}:{k}", k + 1
            found[name] = variable
    return found


def tensor_facts(model: Any, weights: Mapping[str, Any]) -> tuple[TensorFacts, ...]:
    owners = {id(v): name for name, layer in named_layers(model) for v in layer.weights}  # the innermost is the last
    return tuple(
        TensorFacts(name, tuple(v.shape), str(np.dtype(v.dtype) if v.dtype != "bfloat16" else v.dtype),
                    owners.get(id(v), ""), bool(v.trainable))
        for name, v in weights.items()
    )  # fmt: skip


def labelled_optimizers(model: Any, optimizer: Any) -> dict[str, Any]:
    """{label: optimizer}; one has the label ""."""
    if optimizer is None:
        optimizer = getattr(model, "optimizer", None)
        if optimizer is None:
            raise RecordError(
                f"record: the Keras model {model.name!r} has no optimizer yet; call model.compile(...) before "
                "record(...), or for a loop of your own give record(..., optimizer=optimizer)"
            )
    given = by_label(optimizer)
    for one in given.values():
        if not isinstance(one, keras.Optimizer):
            raise RecordError(
                f"optimizer: expected a keras.Optimizer, a list or a dict of them, got {type(one).__name__}; "
                "leave it out and the optimizer of model.compile is watched"
            )
    return {"": next(iter(given.values()))} if len(given) == 1 else given


def innermost(optimizer: Any) -> Any:
    """The optimizer that updates: a LossScaleOptimizer holds it."""
    while (inner := getattr(optimizer, "inner_optimizer", None)) is not None:
        optimizer = inner
    return optimizer
