"""How do the weights of a checkpoint get into torch models? Read as numbers only: nothing in a file is ever executed.

A state dict (.pt, .pth, .bin), a checkpoint of Lightning or of a training script (.ckpt, .pth), .safetensors.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from recorder.adapters.fitting import fitted, some, weights_in
from recorder.adapters.torch.names import Models
from recorder.errors import RecordError

GLOBAL = re.compile(r"GLOBAL (\S+)")
CLASSES = 4  # that are named in an error
COUNTER = "num_batches_tracked"  # of batch norm; checkpoints before torch 0.4.1 have none
AVERAGED = "n_averaged"  # of torch.optim.swa_utils.AveragedModel


def load(models: Models, path: Path, *, key: str = "") -> str:
    """Put the weights of a file into the models, all of them or none; what else the file holds, in words.

    RecordError where the file cannot be read safely, or is of another model.
    """
    found, fits, said = read(path), {}, []
    for name, model in models.items():
        own, where = (_part(found, name, str(path)), f"{path}: {name}") if name else (found, str(path))
        fits[name], left = _fitted(own, model, where, key=key)
        said += [left] if left else []
    for name, model in models.items():
        model.load_state_dict(fits[name], strict=False)  # what it lacks by now, it may lack
    return "; ".join(said)


def read(path: Path) -> Any:
    """What a file holds, in numbers, texts, lists and dicts."""
    return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def _torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols and archives: what fails is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise RecordError(f"{path}: {_unsafe(path, error)}") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:
        said = " ".join(str(error).partition("This is an internal")[0].split())
        if "TorchScript" in said:
            raise RecordError(
                f"{path}: is a TorchScript archive, which holds code; where it was made, save its weights alone: "
                f"torch.save(torch.jit.load({path.name!r}).state_dict(), {path.with_suffix('.pth').name!r})"
            ) from None
        raise RecordError(
            f"{path}: is no checkpoint of torch, or damaged ({type(error).__name__}: {said[:200]})"
        ) from None


def _unsafe(path: Path, error: UnpicklingError) -> str:
    """Why it cannot be read as weights, and what to do."""
    try:
        classes = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of an older form
        classes = GLOBAL.findall(str(error))
    if not classes:
        return "is no checkpoint of torch, or of a form that cannot be read as weights alone; save model.state_dict()"
    named = ", ".join(classes[:CLASSES]) + (f" and {len(classes) - CLASSES} more" if len(classes) > CLASSES else "")
    new = path.with_name(f"{path.stem}-weights.pth").name
    return (
        f"holds objects of {named} beside weights, and reading those would run code from the file; nothing was read. "
        "If you made the file yourself, save its weights alone: "
        f"x = torch.load({path.name!r}, weights_only=False, map_location='cpu'); "
        f"torch.save(x.state_dict() if hasattr(x, 'state_dict') else x.get('state_dict', x), {new!r})"
    )


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise RecordError(f"{path}: to read it, install safetensors: pip install 'layerscope[safetensors]'") from None
    try:
        found: dict[str, torch.Tensor] = load_file(os.fspath(path))
    except Exception as error:
        raise RecordError(f"{path}: is no safetensors file, or damaged ({error})") from None
    return found


def _part(found: Any, name: str, where: str) -> Any:
    """What is of one model: a recording of several saves a dict of their state dicts."""
    if isinstance(found, Mapping) and name in found:
        return found[name]
    there = some(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
    raise RecordError(f"{where}: has no weights of the model {name!r}; it holds {there}")


def _fitted(found: Any, model: torch.nn.Module, where: str, *, key: str) -> tuple[dict[str, Any], str]:
    """The state of one model, and what else there is.

    Averaged weights often come without buffers (running means): these are then the checkpoint's other ones.
    """
    wanted = {name: tuple(getattr(value, "shape", ())) for name, value in model.state_dict().items()}
    stored = {n: x for n, x in weights_in(found, key, where, tensor=torch.Tensor).items() if n != AVERAGED}
    buffers = wanted.keys() - dict(model.named_parameters(remove_duplicate=False)).keys()
    lacking = {n for n in buffers if not any(there == n or there.endswith(f".{n}") for there in stored)}
    counters = {n for n in lacking if n.endswith(COUNTER)}
    rest: dict[str, Any] = {}
    if key and lacking - counters:
        own, _ = fitted(weights_in(found, "", where, tensor=torch.Tensor), wanted, where)
        rest, counters = {name: own[name] for name in lacking}, lacking
    fits, left = fitted(stored, {name: shape for name, shape in wanted.items() if name not in counters}, where)
    return {**rest, **fits}, left
