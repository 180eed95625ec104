"""What are the tensors and layers of a torch model called, however it is wrapped?

Wrappers put a prefix before every name: torch.compile `_orig_mod.`, DataParallel and DistributedDataParallel
`module.`. A run names tensors as the user's own module does; with several models the model's name comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from recorder.errors import RecordError

Models = Mapping[str, nn.Module]  # "" is the only name where the user gave one model

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
COMPILED = "_orig_mod"


def unwrap(module: nn.Module) -> nn.Module:
    """The user's own module inside torch.compile, DataParallel and DistributedDataParallel."""
    while True:
        if isinstance(inner := getattr(module, COMPILED, None), nn.Module):
            module = inner
        elif isinstance(module, WRAPPERS):
            module = module.module
        else:
            return module


def named_models(model: nn.Module | Mapping[str, nn.Module]) -> Models:
    """One module or a dict of them -> unwrapped modules by name."""
    models = dict(model) if isinstance(model, Mapping) else {"": model}
    for name, module in models.items():
        if not isinstance(module, nn.Module):
            where = f"models[{name!r}]" if isinstance(model, Mapping) else "the model"
            raise RecordError(
                f"record: {where} is {type(module).__name__}, expected a torch.nn.Module or a dict of them"
            )
    if not models:
        raise RecordError("record: the dict of models is empty; give at least one torch.nn.Module")
    return {str(name): unwrap(module) for name, module in models.items()}


def joined(*parts: str) -> str:
    """Names joined by dots, without what torch.compile put between them."""
    return ".".join(p for part in parts for p in part.split(".") if p and p != COMPILED)


def named_parameters(models: Models) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter once, in the models' order; a shared one under its first name."""
    seen: set[int] = set()
    for model_name, model in models.items():
        for name, parameter in model.named_parameters():
            if torch.nn.parameter.is_lazy(parameter):
                raise RecordError(
                    f"record: parameter {joined(model_name, name)!r} has no shape yet; "
                    "run one batch through the model before recording"
                )
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield joined(model_name, name), parameter


def named_modules(models: Models) -> Iterator[tuple[str, nn.Module]]:
    """Every module once; the module that a model consists of is called by its class."""
    seen: set[int] = set()
    for model_name, model in models.items():
        for name, module in model.named_modules():
            inner = unwrap(module)
            if id(inner) not in seen:
                seen.add(id(inner))
                yield joined(model_name, name) or type(inner).__name__, inner
