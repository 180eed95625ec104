"""What can be wrong in what a run says of itself: JSON that is none, that is too much, or that means something else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from recorder.runfile.schema import Event, Kind, Series
from recorder.runfile.writer import RunWriter
from tests.runfile.corpus.bad import VIEW, Bad, inside, redeclare
from tests.runfile.runs import START

EVIL = (
    "\x1b]0;title\x07\x1b[31m\u202e\u2066\u200b\x9b2J\U000e0041"  # steers a terminal, turns text round, or is not seen
)
TOO_DEEP, TOO_LONG, LISTS = b"[" * 100_000, b'["' + b"x" * (33 << 20) + b'"]', b"[" + b"[]," * 1_000_000 + b"[]]"
UNREAD = "the declaration of its series cannot be read"


def said(text: bytes, name: str = "series") -> Callable[[Path], None]:
    """JSON of the file is replaced."""
    return inside(lambda file: redeclare(file, text, name))


def changed(series: str = "gradient_norm", **fields: object) -> Callable[[Path], None]:
    """Fields of one declared series are others."""

    def change(file: h5py.File) -> None:
        entries = json.loads(file["layerscope/series"][:].tobytes())
        next(e for e in entries if e["name"] == series).update(fields)
        redeclare(file, entries)

    return inside(change)


def twice(file: h5py.File) -> None:
    entries = json.loads(file["layerscope/series"][:].tobytes())
    redeclare(file, [*entries, entries[0]])


def evil_names(path: Path) -> None:
    path.unlink()
    writer = RunWriter(path, meta={EVIL: [EVIL, {EVIL: EVIL}], "framework": EVIL, "command": EVIL, "host": EVIL})
    scalars = Series(
        "scalars", Kind.SCALAR, EVIL, EVIL, (EVIL + "loss", "rate"), dtype="float64", item_dim=EVIL, axis="a"
    )
    norm = Series("norm", Kind.PER_ITEM, EVIL, EVIL, (EVIL + "a", EVIL + "b"), axis="a", columns=(EVIL,))
    writer.declare(scalars, norm)
    for step in range(5):
        values = {"scalars": np.array([1.0, step]), "norm": np.array([step, 1.0])}
        writer.append("a", step=step, epoch=0, time=START + step, values=values)
    writer.event(Event("health", EVIL, 1, 0, START))
    writer.event(Event(EVIL, EVIL, 1, 0, START))
    writer.close(error=EVIL)


DECLARED: Mapping[str, Bad] = {
    "a list for a declaration": Bad(said(b"[1, 2]"), UNREAD),
    "a number for a declaration": Bad(said(b"7"), UNREAD),
    "a deep declaration": Bad(said(TOO_DEEP), UNREAD),
    "a long declaration": Bad(said(TOO_LONG), "expected at most|cannot be read"),
    "a million lists": Bad(said(LISTS), UNREAD),
    "deep settings": Bad(said(b'{"a":' + b"[" * 400 + b"]" * 400 + b"}", "meta"), VIEW),
    "settings too deep": Bad(said(TOO_DEEP, "meta"), "its provenance cannot be read"),
    "settings in a list": Bad(said(b"[NaN]", "meta"), VIEW),
    "a status in a list": Bad(said(b"[]", "status"), "its status cannot be read"),
    "a status that began never": Bad(
        said(b'{"state": "done", "started": NaN, "ended": 1e308, "error": "", "steps": 1, "epochs": 1}', "status"),
        "its status cannot be read",
    ),
    "one name twice": Bad(inside(twice), UNREAD),
    "items that are numbers": Bad(changed(items=[1, 2, 3]), VIEW),
    "items that are one": Bad(changed(items=["a", "a", "a"]), UNREAD),
    "a negative shape": Bad(changed(shape=[-1]), UNREAD),
    "an infinite shape": Bad(changed(shape=[float("inf")]), UNREAD),
    "a huge shape": Bad(changed(shape=[1 << 62]), UNREAD),
    "another shape": Bad(changed(items=["a", "b"]), "expected rows of"),
    "an unknown kind": Bad(changed(kind="dog"), UNREAD),
    "an unknown dtype": Bad(changed(dtype="float99"), UNREAD),
    "objects": Bad(changed(dtype="O"), UNREAD),
    "a dtype of many": Bad(changed(dtype="f4,f4"), UNREAD),
    "a dtype with a shape": Bad(changed(dtype="(1000000,)f4"), UNREAD),
    "a unit that is a list": Bad(changed(unit=["kg"]), UNREAD),
    "a name with a path": Bad(changed(name="../../etc"), UNREAD),
    "an axis of others": Bad(changed(axis="events"), UNREAD),
    "edges that fall": Bad(changed("weight_histogram", edges=[5.0, 4.0, 3.0, 2.0, 1.0]), UNREAD),
    "too many edges": Bad(changed("weight_histogram", edges=[1.0, 2.0]), UNREAD),
    "20,000 shapes": Bad(
        changed("raw", items=[str(k) for k in range(20_000)], ragged=[[1]] * 20_000),
        "is damaged: it has [0-9]+ of 20000 items",
    ),
    "names that steer a terminal": Bad(evil_names, VIEW),
}
