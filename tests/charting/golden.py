"""Charts as text that a person can read and a test can compare. `python -m tests.charting.golden` writes them anew."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recorder.entries import chart_of, entries
from tests.charting.kinds import run_of_kinds

FOLDER = Path(__file__).parent.parent / "golden"


def as_data(thing: Any) -> Any:
    """Dataclasses as {"Line": {...}} without what is empty, arrays as lists, floats to six digits."""
    if is_dataclass(thing):
        kept = {f.name: as_data(value) for f in fields(thing) if not _empty(value := getattr(thing, f.name))}
        return {type(thing).__name__: kept}
    if isinstance(thing, np.ndarray):
        return as_data(thing.tolist())
    if isinstance(thing, list | tuple):
        return [as_data(one) for one in thing]
    if isinstance(thing, float):
        return float(f"{thing:.6g}") if np.isfinite(thing) else str(thing)
    return thing


def _empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | tuple) and not value)


def text(view: Any) -> str:
    """One mark's list of numbers on one line, so that a difference is seen at a glance."""
    return _lines(as_data(view), "") + "\n"


def _lines(data: Any, indent: str) -> str:
    flat = json.dumps(data, ensure_ascii=False)
    if len(flat) + len(indent) <= 110 or not isinstance(data, list | dict):
        return flat
    deeper = indent + "  "
    if isinstance(data, list):
        return "[\n" + ",\n".join(deeper + _lines(one, deeper) for one in data) + f"\n{indent}]"
    inside = (f"{deeper}{json.dumps(key)}: {_lines(value, deeper)}" for key, value in data.items())
    return "{\n" + ",\n".join(inside) + f"\n{indent}}}"


if __name__ == "__main__":
    run = run_of_kinds()
    for entry in entries(run):
        (FOLDER / f"{entry.name}.json").write_text(text(chart_of(run, entry.name)))
