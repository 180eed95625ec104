"""Which framework does a model belong to, and who watches it?

A framework is never imported for the user: only what is already in `sys.modules` can be the model's, so a literal table
of module names and a look at the model's class decide.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from recorder.errors import RecordError
from recorder.reading import Adapter

# framework's module -> (its class of models, the adapter's module, the adapter's class)
ADAPTERS: Mapping[str, tuple[str, str, str]] = {
    # first, since on its torch backend a Keras model is a torch module as well
    "keras": ("keras.Model", "recorder.adapters.keras.adapter", "KerasAdapter"),
    "torch": ("torch.nn.Module", "recorder.adapters.torch.adapter", "TorchAdapter"),
}
SUPPORTED = (
    "a torch.nn.Module, a dict of them, a keras.Model (Keras 3 on TensorFlow), or for a loop of your own an object "
    "with `parameters` and `gradients`, two dicts of numpy arrays"
)


def adapter_for(model: Any, *, optimizer: Any = None, probe: Any = None, layers: Any = None) -> Adapter:
    """The adapter that watches `model`; RecordError where there is none."""
    sample = next(iter(model.values()), None) if isinstance(model, Mapping) else model
    for framework, (models, home, name) in ADAPTERS.items():
        if framework in sys.modules and isinstance(sample, _attribute(models)):
            if (
                framework == "keras"
            ):  # before its adapter, which imports TensorFlow; on another backend that may be missing
                import_module("recorder.adapters.keras.model").check_backend()
            adapter: type = getattr(import_module(home), name)
            return adapter(model, optimizer=optimizer, probe=probe, layers=layers)
    if _is_keras_2(sample):
        raise RecordError("record: this is a model of Keras 2 (tf_keras); Keras 3 models are watched: import keras")
    if hasattr(sample, "parameters") and hasattr(sample, "gradients"):
        from recorder.adapters.numpy import NumpyAdapter

        return NumpyAdapter(model, optimizer=optimizer, probe=probe, layers=layers)
    found = type(model).__name__ if sample is model else f"a dict of {type(sample).__name__}"
    raise RecordError(f"record: cannot watch {found}; expected {SUPPORTED}")


def _attribute(path: str) -> Any:
    """The class at a dotted path into a package that is loaded."""
    first, *rest = path.split(".")
    found: Any = sys.modules[first]
    for name in rest:
        found = getattr(found, name)
    return found


def _is_keras_2(model: Any) -> bool:
    return any(c.__module__.split(".")[0] == "tf_keras" for c in type(model).__mro__)
