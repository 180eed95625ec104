"""What did the user give as `optimizer` and as `layers`? Forms that all frameworks share, resolved to names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from recorder.errors import RecordError

Layer = TypeVar("Layer")


def by_label(optimizer: Any) -> dict[str, Any]:
    """One, a list or a dict of optimizers -> {label: optimizer}; one has the label "", those of a list are numbered."""
    if isinstance(optimizer, Mapping):
        return {str(name): one for name, one in optimizer.items()}
    if isinstance(optimizer, list | tuple):
        return {str(k): one for k, one in enumerate(optimizer)}
    return {"": optimizer}


def matching(layers: str | type | Iterable[str | type], known: Mapping[str, Layer]) -> dict[str, Layer]:
    """The known layers that a name, a glob or a class of `layers` picks, in order; RecordError where one picks none.

    A class is given as such, which means those derived from it as well, or by its name.
    """
    chosen: set[str] = set()
    for wanted in [layers] if isinstance(layers, str | type) else layers:
        if isinstance(wanted, str):
            names = {
                name
                for name, layer in known.items()
                if wanted in (name, type(layer).__name__) or fnmatchcase(name, wanted)
            }
        else:
            names = {name for name, layer in known.items() if isinstance(layer, wanted)}
        if not names:
            raise RecordError(f"layers: nothing matches {wanted!r}; the model has {', '.join(known)}")
        chosen |= names
    return {name: layer for name, layer in known.items() if name in chosen}
