"""What does a volume say about itself? Its series, its provenance and its status, as JSON.

The same three texts are in the HDF5 file (`/layerscope/series`, `meta`, `status`) and, while it is written, in
`NAME.d/volume-NNNN.json`: a log can be read before the HDF5 file exists.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recorder.errors import RunFileError
from recorder.runfile.declared import checked
from recorder.runfile.guard import check_format, own_version, read_inside
from recorder.runfile.schema import FORMAT, Event, Kind, Series, State

MAX_TEXT = 32 << 20  # bytes of a declaration that are read
MAX_MARKS = 500_000  # entries of its lists
DEPTH = 50  # of settings within settings
LAST_MOMENT = 2.0**37  # seconds; the year 6325
STATUS_BYTES = 4096
TEXT_BYTES = 1000

# Events are an ordinary series of two texts, so that log, writer, reader and pack need to know nothing about them.
EVENTS = Series(
    "events", Kind.TABLE, "", "What happened once.", ("kind", "text"), dtype=f"S{TEXT_BYTES}", item_dim="field",
    axis="events", ragged=((), ()), between=True,
)  # fmt: skip


@dataclass(frozen=True)
class Status:
    """What became of the writer; `steps` is the last step recorded."""

    state: State = State.RECORDING
    started: float = 0.0
    ended: float | None = None
    error: str = ""
    steps: int = 0
    epochs: int = 0
    resumed: int | None = None  # the step that a resumed training went on at; said by its first volume only
    measured: bool = False  # by `measure` at checkpoints: rows join those of the training in the order of steps


@dataclass(frozen=True)
class Declaration:
    """All that must be known of a volume before its rows can be read."""

    series: tuple[Series, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status()

    @property
    def axes(self) -> dict[str, tuple[Series, ...]]:
        """The series of each axis, in order; the axis of events is always there."""
        axes: dict[str, list[Series]] = {}
        for s in (*self.series, EVENTS):
            axes.setdefault(s.axis, []).append(s)
        return {axis: tuple(series) for axis, series in axes.items()}


def series_json(series: Sequence[Series]) -> bytes:
    return json.dumps([dataclasses.asdict(s) for s in series], ensure_ascii=False).encode("utf-8", "replace")


def meta_json(meta: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(meta), ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def status_json(status: Status) -> bytes:
    """Exactly STATUS_BYTES, padded with blanks, so that it can be rewritten in place."""
    error = status.error
    while True:
        text = json.dumps(dataclasses.asdict(dataclasses.replace(status, error=error))).encode()
        if len(text) <= STATUS_BYTES:
            return text.ljust(STATUS_BYTES)
        error = error[: len(error) * 3 // 4]


def parse_series(text: bytes, where: str) -> tuple[Series, ...]:
    with _readable(where, "the declaration of its series"):
        return checked(tuple(_series(entry) for entry in _loaded(text)))


def parse_meta(text: bytes, where: str) -> dict[str, Any]:
    with _readable(where, "its provenance"):
        meta = _shallow(_loaded(text), DEPTH)
    return meta if isinstance(meta, dict) else {}


def parse_status(text: bytes, where: str) -> Status:
    with _readable(where, "its status"):
        entry = _loaded(text)
        ended, resumed = entry.get("ended"), entry.get("resumed")
        return Status(
            State(entry["state"]), _moment(entry["started"]), None if ended is None else _moment(ended),
            str(entry["error"]), int(entry["steps"]), int(entry["epochs"]), None if resumed is None else int(resumed),
            bool(entry.get("measured", False)),
        )  # fmt: skip


def write_sidecar(path: Path, declaration: Declaration) -> None:
    """Replace the file at once, so that a reader never meets half of it."""
    document = b'{"format": %d,\n"layerscope": "%s",\n"series": %s,\n"meta": %s,\n"status": %s}\n' % (
        FORMAT, own_version().encode(), series_json(declaration.series), meta_json(declaration.meta),
        status_json(declaration.status).rstrip(),
    )  # fmt: skip
    new = path.with_name(f"new-{path.name}")  # what `repair` removes where a process died before the next line
    with open(new, "wb") as file:
        file.write(document)
        file.flush()
        os.fsync(file.fileno())  # without it no row can be read
    os.replace(new, path)


def read_sidecar(path: Path) -> Declaration:
    """FileNotFoundError where there is none."""
    where = str(path)
    with _readable(where, "the declaration of the run"):
        document = _loaded(read_inside(path, most=MAX_TEXT + 1))
        check_format(document["format"], document.get("layerscope"), where)
        series, meta, status = (json.dumps(document[key]).encode() for key in ("series", "meta", "status"))
    return Declaration(parse_series(series, where), parse_meta(meta, where), parse_status(status, where))


def event_row(event: Event) -> dict[str, bytes]:
    return {key: _cut(getattr(event, key)) for key in EVENTS.items}


def event_of(kind: bytes, text: bytes, *, step: int, epoch: int, time: float) -> Event:
    return Event(kind.decode("utf-8", "replace"), text.decode("utf-8", "replace"), step, epoch, time)


def _cut(text: str) -> bytes:
    """At most TEXT_BYTES of UTF-8, never half a character."""
    return text.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore").encode()


@contextlib.contextmanager
def _readable(where: str, what: str) -> Iterator[None]:
    """Whatever JSON holds instead of what was expected, in our words."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RunFileError(f"{where}: {what} cannot be read ({error})") from error


def _loaded(text: bytes) -> Any:
    """JSON that takes no more memory than a declaration may: a list of lists takes twenty times its text."""
    marks = text.count(b",") + text.count(b"[") + text.count(b"{")
    if len(text) > MAX_TEXT or marks > MAX_MARKS:
        raise ValueError(f"it has {len(text)} bytes and {marks} entries, more than {MAX_TEXT} and {MAX_MARKS}")
    return json.loads(text)


def _shallow(value: Any, depth: int) -> Any:
    """Without what lies deeper than anybody looks."""
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return "..."
    if isinstance(value, dict):
        return {key: _shallow(v, depth - 1) for key, v in value.items()}
    return [_shallow(v, depth - 1) for v in value]


def _moment(value: Any) -> float:
    """Seconds since 1970, within what a calendar can hold."""
    if not 0 <= float(value) < LAST_MOMENT:
        raise ValueError(f"no moment in time: {value}")
    return float(value)


def _series(entry: Mapping[str, Any]) -> Series:
    known = {f.name: entry[f.name] for f in dataclasses.fields(Series) if f.name in entry}
    for key in ("items", "shape", "dims", "edges", "columns"):
        known[key] = tuple(known.get(key, ()))
    known["ragged"] = tuple(tuple(int(n) for n in shape) for shape in known.get("ragged", ()))
    known["shape"] = tuple(int(n) for n in known["shape"])
    known["edges"] = tuple(float(x) for x in known["edges"])
    for key in ("items", "dims", "columns"):
        known[key] = tuple(str(x) for x in known[key])
    known["kind"] = Kind(known["kind"])
    known["between"] = bool(known.get("between", False))
    return Series(**known)


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays, sets, paths and the rest, in JSON's few types."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
