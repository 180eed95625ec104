"""Where is the explorer, and how does it look at things? Kept as it changes, so that reopening goes on from there.

One small JSON file for each opened path under XDG_STATE_HOME/layerscope, replaced atomically. Whatever is wrong with
it, the explorer starts afresh rather than not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from recorder.view import Time

Normalise = Literal["global", "row", "column"]
Order = Literal["recorded", "name", "value", "first bad"]


@dataclass(frozen=True)
class Options:
    """How charts are drawn, whatever they show."""

    log: bool | None = None  # None: as the chart wants it
    smoothing: float = 0.0  # 0..0.99, exponential
    outliers: bool = False  # hide them
    limits: tuple[float, float] | None = None
    colours: str = "viridis"
    normalise: Normalise = "global"


@dataclass(frozen=True)
class Place:
    """Everything about the view that is worth finding again."""

    screen: str = ""
    run: str = ""  # the opened run's path
    chosen: Mapping[str, str] = field(default_factory=dict)  # the entry each screen shows
    item: str = ""
    step: int | None = None  # None follows the latest
    lo: int | None = None  # the zoom, in steps
    hi: int | None = None
    parameter: int | None = None  # the cursor in the sign map, in model order
    parameters: tuple[int, int] | None = None  # the zoom there
    x: Time = "step"
    order: Order = "recorded"
    maximised: bool = False
    anomalies: int = 0  # of the run, that it was opened at
    theme: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)  # by list: "runs", "settings", "overview", "layers"
    options: Options = field(default_factory=Options)


def state_file(opened: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that remembers the place for an opened path."""
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local/state")
    full = os.path.abspath(opened)
    key = hashlib.sha256(os.fsencode(full)).hexdigest()[:16]
    return Path(home) / "layerscope" / f"{key}.json"


def save(place: Place, file: Path) -> None:
    """Replace the file in one go; a disk that refuses is no reason to disturb the reader."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps(asdict(place)), encoding="utf-8")
        fresh.replace(file)


def load(file: Path) -> Place:
    """The remembered place; every field that is missing, foreign or of the wrong type has its default."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Place()
    return _read(Place, found) if isinstance(found, dict) else Place()


def _read(kind: Any, found: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    kept = {}
    for f in fields(kind):
        with suppress(KeyError, ValueError):
            kept[f.name] = _value(hints[f.name], found[f.name])
    return kind(**kept)


def _value(hint: Any, found: Any) -> Any:
    """The found JSON value as the hinted type, or ValueError."""
    if is_dataclass(hint):
        if isinstance(found, dict):
            return _read(hint, found)
    elif isinstance(hint, types.UnionType):  # X | None
        return None if found is None else _value(get_args(hint)[0], found)
    elif get_origin(hint) is Literal:
        if found in get_args(hint):
            return found
    elif get_origin(hint) is Mapping:
        if isinstance(found, dict) and all(isinstance(v, str) for v in found.values()):
            return found
    elif get_origin(hint) is tuple:
        if isinstance(found, list) and len(found) == len(get_args(hint)):
            return tuple(_value(t, v) for t, v in zip(get_args(hint), found, strict=True))
    elif hint is float and type(found) in (int, float):
        return float(found)
    elif type(found) is hint:
        return found
    raise ValueError(found)
