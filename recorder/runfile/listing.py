"""Which runs are under this folder, and how are they doing? Found without reading them whole, and never raising.

Foreign HDF5 files and checkpoints are not opened: a run is known by the first bytes of its file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from recorder.errors import LayerscopeError, in_words
from recorder.runfile import sandbox
from recorder.runfile.guard import SIGNATURE, clean
from recorder.runfile.layout import log_of, part_of, run_paths
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind, State
from recorder.view import Window

LOSSES = 64  # points of a sparkline
_HEAD = 4096  # the root's attributes lie in here


@dataclass(frozen=True)
class RunRecord:
    """One line of a list of runs."""

    path: Path
    name: str
    state: State
    steps: int = 0
    epochs: int = 0
    loss: float | None = None  # the last one
    losses: tuple[float, ...] = ()  # the whole training in at most LOSSES means
    size: int = 0
    mtime: float = 0.0
    started: float = 0.0
    framework: str = ""
    error: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    health: tuple[Event, ...] = ()


def list_runs(
    folder: Path | str, *, depth: int = 4, known: Mapping[Path, RunRecord] | None = None
) -> Iterator[RunRecord]:
    """Every run under `folder`, the newest first; a damaged one has the state DAMAGED and says why in `error`.

    `known` are the records of an earlier listing: of those, runs that have ended and not changed since are not read.
    """
    earlier = known or {}

    def record(path: Path, mtime: float) -> RunRecord:
        before = earlier.get(path)
        unchanged = before is not None and before.mtime == mtime and before.state in (State.DONE, State.FAILED)
        return before if before is not None and unchanged else record_of(path, mtime=mtime)

    found = sorted(_find(Path(folder), depth), key=lambda entry: (-entry[1], entry[0]))
    return (record(path, mtime) for path, mtime in found)


def record_of(path: Path | str, *, mtime: float = 0.0) -> RunRecord:
    """The line of one run, read in the sandbox; never raises for what is in the file."""
    main, folder = run_paths(path)
    mtime = mtime or _mtime(main, folder)
    try:
        found = sandbox.ask("record", main, folder)
        state, health = State(found["state"]), tuple(Event(**event) for event in found["health"])
        more = {"path": main, "mtime": mtime, "state": state, "losses": tuple(found["losses"]), "health": health}
        return RunRecord(**{**found, **more})
    except sandbox.UnavailableError:
        return replace(read_record(main), mtime=mtime)
    except Exception as error:  # whatever a file holds, the list goes on
        return _damaged(main, error, mtime)


def read_record(path: Path, *, trusted: bool = False) -> RunRecord:
    """The line of one run, read here and now."""
    main, folder = run_paths(path)
    try:
        with Run.open(main, trusted=trusted) as run:
            losses, loss = _losses(run)
            return RunRecord(
                main,
                run.name,
                run.state,
                steps=run.steps,
                epochs=run.epochs,
                loss=loss,
                losses=losses,
                size=run.size,
                mtime=_mtime(main, folder),
                started=run.started,
                framework=str(run.meta.get("framework", "")),
                error=run.error,
                meta=run.meta,
                health=tuple(e for e in run.events if e.kind == "health"),
            )
    except Exception as error:
        return _damaged(main, error, _mtime(main, folder))


def _damaged(main: Path, error: Exception, mtime: float) -> RunRecord:
    said = str(error) if isinstance(error, LayerscopeError) else f"is damaged ({in_words(error)})"
    said = said.removeprefix(f"{main}: ")  # the list names it
    size = main.stat().st_size if main.is_file() else 0
    return RunRecord(main, clean(main.stem), State.DAMAGED, size=size, mtime=mtime, error=clean(said))


def _losses(run: Run) -> tuple[tuple[float, ...], float | None]:
    for s in run.series.values():
        names = [item for item in s.items if s.kind is Kind.SCALAR and item.rpartition("/")[2].endswith("loss")]
        if names:
            item = "loss" if "loss" in names else names[0]
            means = run.window(s.name, Window(points=LOSSES), item).mean
            last = float(run.row(s.name, item=item)[1]) if len(means) else None
            return tuple(float(x) for x in means), last
    return (), None


def _find(folder: Path, depth: int) -> Iterator[tuple[Path, float]]:
    """(NAME.h5, when it last changed) of each run."""
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        return
    ours = {entry.name for entry in entries if entry.name.endswith(".h5") and _ours(entry)}
    names = {entry.name for entry in entries}
    for entry in entries:
        try:
            if entry.name in ours:
                path, side = run_paths(entry.path)
                yield path, _mtime(path, side)
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                file = entry.name[:-2] + ".h5"
                if entry.name.endswith(".d") and _holds_a_run(Path(entry.path)):
                    if file not in ours:  # not there yet, or damaged beyond being known
                        path, side = run_paths(entry.path)
                        yield path, _mtime(path, side)
                elif depth > 0 and file not in names:
                    yield from _find(Path(entry.path), depth - 1)
        except OSError:
            continue


def _ours(entry: os.DirEntry[str]) -> bool:
    """Whether a regular file begins like a run: HDF5, superblock 3, and our name among the root's attributes."""
    try:
        if not entry.is_file():
            return False
        fd = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        head = os.read(fd, _HEAD)
    except OSError:
        return False
    finally:
        os.close(fd)
    return head.startswith(SIGNATURE + b"\x03") and b"layerscope" in head


def _holds_a_run(folder: Path) -> bool:
    return any(log_of(name) is not None or part_of(name) is not None for name in os.listdir(folder))


def _mtime(path: Path, folder: Path) -> float:
    """When the run last changed: its lock is touched while it is recorded."""
    times = [p.stat().st_mtime for p in (path, folder, folder / "lock") if p.exists()]
    return float(np.max(times)) if times else 0.0
