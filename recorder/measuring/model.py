"""Which model are the weights put into? The one that is given, or a new one of the class that the run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.errors import RecordError
from recorder.measuring.factory import imported, made
from recorder.runfile.reader import Run

FRAMEWORKS = ("torch", "keras", "tensorflow")
CASTS = {"bfloat16": "bfloat16", "float16": "half", "float64": "double"}  # dtype -> what casts a torch.nn.Module
GIVE = "give --model package.module:factory, a function of no arguments that makes the model"


def model_of(given: Any, run: Run | None) -> Any:
    """The model; RecordError says what to give where there is none."""
    if given is not None:
        found = made(given, "model", is_one=_is_model)
        if not _is_model(found):
            raise RecordError(f"model: expected a model, or a factory of one, got {type(found).__name__}")
        return found
    if run is None:
        raise RecordError(f"model: a run that does not exist yet has none; {GIVE}")
    path = run.meta.get("model")
    if why := cannot_make(path):
        raise RecordError(f"model: {why}; {GIVE}")
    if isinstance(path, Mapping):
        return {name: _typed(_new(one), run) for name, one in path.items()}
    return _typed(_new(str(path)), run)


def cannot_make(path: Any) -> str:
    """Why a model of the recorded class (or classes, by name) cannot be made; "" where that may be tried."""
    if isinstance(path, Mapping) and path:
        return next(filter(None, map(cannot_make, path.values())), "")
    if not isinstance(path, str) or not path:
        return "the run does not say of which class its model is"
    module, _, name = path.partition(":")
    if module == "__main__":
        return f"its class {name} was defined in the script that trained, which is not run again"
    if module.partition(".")[0] in FRAMEWORKS:
        return f"it is a {name} of {module.partition('.')[0]}, whose layers only your code knows"
    if "<locals>" in name:
        return f"its class {name} was defined inside of a function"
    return ""


def _new(path: str) -> Any:
    """A model of a class, which is called only if it is one of models."""
    try:
        found = imported(path, "model")
        if not (isinstance(found, type) and _is_model(found)):
            raise RecordError(f"model {path}: is no class of models")
        return made(found, "model")
    except RecordError as error:
        raise RecordError(f"{error}. That is what the run recorded; {GIVE}") from None


def _typed(model: Any, run: Run) -> Any:
    """A PyTorch model in the one dtype that all its weights were recorded in: a class makes its models in float32."""
    dtypes = {str(tensor.get("dtype")) for tensor in run.meta.get("tensors", ())}
    cast = getattr(model, CASTS.get(dtypes.pop(), ""), None) if len(dtypes) == 1 else None
    return cast() if callable(cast) else model


def _is_model(one: Any) -> bool:
    """Whether this is (a class of) a model, or several by name."""
    if isinstance(one, Mapping):
        return bool(one) and all(map(_is_model, one.values()))
    return hasattr(one, "parameters") or hasattr(one, "trainable_weights")
