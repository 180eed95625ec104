"""Which checkpoints are there to be measured, and of which steps? Those that a run registered, or those of a glob."""

from __future__ import annotations

import glob as globbing
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recorder.errors import RecordError
from recorder.measuring.step_of import compiled, epoch_of, step_of
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event

FORMS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".weights.h5", ".keras", ".h5", ".hdf5", ".npz")
PARTS = re.compile(r"(\d+)")

Steps = int | str | range | Iterable["int | str"] | None


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights: those after `step` updates."""

    path: Path
    step: int
    epoch: int = 0  # epochs completed
    time: float = 0.0  # when it was saved, seconds since 1970


@dataclass(frozen=True)
class Found:
    """Checkpoints in the order of their steps, and what was left out, in words."""

    checkpoints: tuple[Checkpoint, ...]
    left_out: tuple[str, ...] = ()


def of_run(run: Run) -> Found:
    """Those that the run tells of in its events, as far as their files are there.

    What was saved in a part of the training that was given up is hidden with its events. A name is looked for in the
    run's own folder, then where the training ran: run.event("checkpoint", "weights/best.pth") registers a file.
    """
    found: dict[int, Checkpoint] = {}
    for event in run.events:
        if event.kind == "checkpoint" and not event.text.startswith("anomaly-"):
            path = _place(run, event.text)
            if path is not None:
                found[event.step] = Checkpoint(path, event.step, run.epochs_at(event.step), _saved(event, path))
    return Found(tuple(found[step] for step in sorted(found)))


def of_glob(pattern: str | os.PathLike[str], *, step_pattern: str = "", run: Run | None = None) -> Found:
    """The files that a glob names, "**" included; RecordError where there are none, or two of the same step."""
    text, rule = os.fspath(pattern), compiled(step_pattern) if step_pattern else None
    paths = [Path(name) for name in globbing.glob(os.path.expanduser(text), recursive=True)]
    files = sorted((p for p in paths if p.is_file()), key=_natural)
    if not files:
        raise RecordError(f"checkpoints: no file matches {text!r} (in {os.getcwd()}); give a glob, as 'folder/*.pth'")
    left: list[str] = []
    found: dict[int, Checkpoint] = {}
    for path in files:
        step = step_of(path, rule)
        if not path.name.endswith(FORMS):
            left.append(f"{path}: is no file of weights that is known ({', '.join(FORMS)})")
        elif step is None:
            rule_said = "the pattern finds none" if rule else "there is no number in its name"
            left.append(f"{path}: has no step: {rule_said}; --step-pattern says where it is")
        elif step in found:
            raise RecordError(
                f"checkpoints: {found[step].path} and {path} are both of step {step}; leave one out by a narrower "
                rf"glob, or say where the step is: --step-pattern 'epoch(\d+)'"
            )
        else:
            epoch = (epoch_of(path) or 0) if run is None else run.epochs_at(step)
            found[step] = Checkpoint(path, step, epoch, path.stat().st_mtime)
    if not found:
        raise RecordError(f"checkpoints: none of {len(files)} files of {text!r} can be measured. {left[0]}")
    return Found(tuple(found[step] for step in sorted(found)), tuple(left))


def chosen(checkpoints: Sequence[Checkpoint], steps: Steps) -> tuple[Checkpoint, ...]:
    """Those of these steps: a number, "1000:5000" (both ends included, each may be left out), "last", or several."""
    if steps is None:
        return tuple(checkpoints)
    there = [c.step for c in checkpoints]
    asked = [steps] if isinstance(steps, int | str) else list(steps)
    wanted = [(one, _within(one, there)) for one in asked]
    for one, holds in wanted:
        if not any(map(holds, there)):
            some = f"{there[0]:,} to {there[-1]:,}" if there else "none"
            raise RecordError(
                f"steps: there is no checkpoint of {one!r}; the {len(there)} checkpoints are of steps {some}"
            )
    return tuple(c for c in checkpoints if any(holds(c.step) for _, holds in wanted))


def _within(one: int | str, there: Sequence[int]) -> Callable[[int], bool]:
    text = str(one).replace(",", "").replace("_", "")
    if text in ("first", "last"):
        end = (there[0] if text == "first" else there[-1]) if there else -1
        return lambda step: step == end
    lo, colon, hi = text.partition(":")
    if not all(part.isdigit() for part in (lo, hi) if part) or not (lo or colon):
        raise RecordError(f"steps: expected a number, LO:HI, first or last, got {one!r}")
    low = int(lo) if lo else 0
    high = int(hi) if hi else (low if not colon else None)
    return lambda step: low <= step and (high is None or step <= high)


def _place(run: Run, name: str) -> Path | None:
    """The file that an event names."""
    trained_in = Path(str(run.meta.get("folder", "")))
    for place in (run.folder / "checkpoints" / name, trained_in / name):
        if place.is_file():
            return place
    return None


def _saved(event: Event, path: Path) -> float:
    """When: a file may have been copied since, and an event may have come later."""
    return min(event.time, path.stat().st_mtime)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Numbers by size: net-9 before net-10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in PARTS.split(path.as_posix())]
