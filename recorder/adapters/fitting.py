"""Which tensors of a checkpoint are a model's, and do they fit? What all frameworks share; no file is read here.

Training tools put a prefix before names (`model.`, `module.`, `_orig_mod.`), and other tensors beside those of the
model. So the model's names are looked for behind one prefix, the one behind which most of them are. All have to be
there; without a prefix there may be no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recorder.errors import RecordError

Shape = tuple[int, ...]

WRAPPERS = ("_orig_mod", "module")  # parts of names that come from torch.compile, DataParallel and averaged models
PLACES = ("state_dict", "model_state_dict", "model")  # where a training checkpoint has its weights, as a rule
SHOWN = 3  # names in an error


def fitted(stored: Mapping[str, Any], wanted: Mapping[str, Shape], where: str) -> tuple[dict[str, Any], str]:
    """({name in the model: what is stored}, what else there is, in words); RecordError where something does not fit."""
    names = {_plain(name): name for name in wanted}
    keys = {_plain(key): key for key in stored}
    prefix = _prefix(keys, names)
    own = {name.removeprefix(prefix): key for name, key in keys.items() if name.startswith(prefix)}
    missing = [name for plain, name in names.items() if plain not in own]
    more = [key for plain, key in own.items() if plain not in names]
    if missing or (more and not prefix):
        found = [f"has no {some(missing)}"] if missing else []
        found += [f"has {some(more)} beside the model's {len(wanted)} tensors"] if more else []
        raise RecordError(
            f"{where}: is not of this model: the file {' and '.join(found)}; give the model that was trained"
        )
    fits = {name: stored[own[plain]] for plain, name in names.items()}
    for name, shape in wanted.items():
        if (there := tuple(getattr(fits[name], "shape", shape))) != shape:
            raise RecordError(f"{where}: is not of this model: {name!r} has the shape {there}, expected {shape}")
    left = [
        key for plain, key in keys.items() if not plain.startswith(prefix) or plain.removeprefix(prefix) not in names
    ]
    return fits, f"{some(left)} of the file {'is' if len(left) == 1 else 'are'} not the model's" if left else ""


def weights_in(found: Any, key: str, where: str, *, tensor: type) -> Mapping[str, Any]:
    """The tensors by name in what a file holds: at `key` ("ema", "callbacks.EMA"), or where they are as a rule."""
    if key:
        return _at(found, key, where, tensor=tensor)
    if _is_state(found, tensor):
        return found
    for place in PLACES if isinstance(found, Mapping) else ():
        if _is_state(found.get(place), tensor):
            return found[place]
    raise RecordError(
        f"{where}: its weights are not where they are as a rule ({', '.join(PLACES)}); {_hint(found, tensor)}"
    )


def some(names: Iterable[str]) -> str:
    """The first few of them."""
    names = list(map(repr, names))
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _prefix(names: Iterable[str], wanted: Mapping[str, str]) -> str:
    """What stands before most of the wanted names; of two the shorter."""
    counts = Counter(prefix for name in names for prefix, tail in _cuts(name) if tail in wanted)
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """("", "a.b.c"), ("a.", "b.c"), ("a.b.", "c")."""
    parts = name.split(".")
    for k in range(len(parts)):
        tail = ".".join(parts[k:])
        yield name[: len(name) - len(tail)], tail


def _plain(name: str) -> str:
    """A tensor's name as the user's own module has it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _at(found: Any, key: str, where: str, *, tensor: type) -> Mapping[str, Any]:
    """What stands at a key, or at a way of keys with dots in between."""
    here = found
    for part in [key] if isinstance(found, Mapping) and key in found else key.split("."):
        if not isinstance(here, Mapping) or part not in here:
            raise RecordError(f"{where}: has no {key!r}; {_hint(found, tensor)}")
        here = here[part]
    if not _is_state(here, tensor):
        raise RecordError(f"{where}: at {key!r} there are no tensors by name; {_hint(found, tensor)}")
    return here


def _is_state(found: Any, tensor: type) -> bool:
    """Whether tensors stand here by their names, perhaps beside a few plain values, but no further level."""
    return (
        isinstance(found, Mapping)
        and any(isinstance(value, tensor) for value in found.values())
        and not any(isinstance(value, Mapping) or not isinstance(name, str) for name, value in found.items())
    )


def _hint(found: Any, tensor: type) -> str:
    """Where tensors are in the file."""
    if not isinstance(found, Mapping):
        return f"it holds {type(found).__name__}"
    places = list(_places(found, tensor, ""))
    return (
        f"give one of these as --key: {', '.join(places)}"
        if places
        else f"it holds {some(map(str, found)) or 'nothing'}"
    )


def _places(found: Mapping[Any, Any], tensor: type, before: str, depth: int = 3) -> Iterator[str]:
    for name, value in found.items():
        if _is_state(value, tensor):
            yield f"{before}{name}"
        elif isinstance(value, Mapping) and depth:
            yield from _places(value, tensor, f"{before}{name}.", depth - 1)
