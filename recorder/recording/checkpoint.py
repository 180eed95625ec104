"""When are the weights saved, and which files stay?

Files lie in `NAME.d/checkpoints/step-000500.pth`, written beside their place and renamed, so that a name that exists
is whole. Beside each a small JSON says its step, epoch, score, size and SHA-256, which a background thread computes.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from recorder.errors import RecordError
from recorder.schedule import EachEpoch, Every, Moment, Schedule, each_epoch

Keep = Literal["all"] | int


@dataclass(frozen=True)
class Checkpoints:
    """Save the weights every so many steps, or `each_epoch`; keep all, the last k, or the best by a scalar.

    `Checkpoints(every=500)`, `Checkpoints(every=each_epoch, keep=3)`,
    `Checkpoints(every=each_epoch, best="val_accuracy")` keeps the best and the last one,
    and all while there is no score.
    """

    every: int | Schedule | Callable[[], Schedule] = 500
    keep: Keep = "all"
    best: str = ""  # the name of a scalar given to run.step() or run.epoch()
    mode: Literal["max", "min"] = "max"

    def __post_init__(self) -> None:
        if self.keep != "all" and not (isinstance(self.keep, int) and self.keep >= 1):
            raise RecordError(f"Checkpoints(keep={self.keep!r}): expected 'all' or a number of files, at least 1")
        if self.mode not in ("max", "min"):
            raise RecordError(f"Checkpoints(mode={self.mode!r}): expected 'max' or 'min'")
        if self.best and self.keep != "all":
            raise RecordError("Checkpoints: give either keep=k or best='name'; best keeps the best file and the last")
        self.schedule  # noqa: B018  a wrong `every` is refused here, at the door

    @classmethod
    def of(cls, given: Checkpoints | int | Callable[[], Schedule] | None) -> Checkpoints | None:
        """What `record` was given: how often will do."""
        return given if given is None or isinstance(given, Checkpoints) else cls(given)

    @property
    def schedule(self) -> Schedule:
        if isinstance(self.every, int) and not isinstance(self.every, bool):
            return Every(self.every)
        if self.every is each_epoch:
            return EachEpoch()
        if hasattr(self.every, "due"):
            return self.every  # type: ignore[return-value]
        raise RecordError(f"Checkpoints(every={self.every!r}): expected a number of steps or each_epoch")

    def due(self, moment: Moment) -> bool:
        return moment.step > 0 and self.schedule.due(moment)


@dataclass(frozen=True)
class Saved:
    """A checkpoint on disk, as its JSON says."""

    file: str
    step: int
    epoch: int
    bytes: int
    score: float | None = None
    sha256: str = ""


class Checkpointer:
    """Writes checkpoints into a folder on the training thread, hashes and thins them out on another."""

    def __init__(self, folder: Path, rule: Checkpoints, *, suffix: str = ".pth") -> None:
        self.folder = folder
        self.rule = rule
        self._suffix = suffix
        self._kept: list[Saved] = []
        self._work: SimpleQueue[Saved | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._told = False  # that there is no score

    def save(self, write: Callable[[Path], None], *, step: int, epoch: int, scalars: Mapping[str, float]) -> Saved:
        """Write one checkpoint whole or not at all; a file that was already there for this step is replaced."""
        score = scalars.get(self.rule.best) if self.rule.best else None
        return self._keep(self._write(write, f"step-{step:06d}", step, epoch, score))

    def save_apart(self, write: Callable[[Path], None], what: str, *, step: int, epoch: int) -> Saved:
        """Write one that no rule counts or removes: `what-step-000105.pth`."""
        saved = self._write(write, f"{what}-step-{step:06d}", step, epoch, None)
        self._hash(saved)
        return saved

    def saved(self, step: int) -> bool:
        """Whether the last checkpoint is of this step."""
        return bool(self._kept) and self._kept[-1].step == step and (self.folder / self._kept[-1].file).exists()

    def refresh(self, *, epoch: int, scalars: Mapping[str, float]) -> None:
        """The last checkpoint is of this epoch and has its score: the epoch was completed after it was written."""
        score = scalars.get(self.rule.best) if self.rule.best else None
        self._keep(replace(self._kept[-1], epoch=epoch, score=score))

    def take_over(self, step: int) -> None:
        """Count what an earlier process saved up to this step; what it saved later belongs to a training given up.

        That stays as it is, until a checkpoint of the same step takes its place.
        """
        for unfinished in self.folder.glob(f".*-step-*{self._suffix}"):
            unfinished.unlink(missing_ok=True)  # that process died on it
        found = [_found(path) for path in self.folder.glob(f"step-*{self._suffix}")]
        # Where the best is kept, one whose score is not known may be it.
        known = [s for s in found if s is not None and s.step <= step and (s.sha256 or not self.rule.best)]
        self._kept = sorted(known, key=lambda s: s.step)

    @property
    def aimless(self) -> bool:
        """Whether the best is to be kept and no checkpoint has a score to tell it by."""
        return bool(self.rule.best and self._kept) and all(s.score is None for s in self._kept)

    def no_score(self, known: Collection[str]) -> str:
        """What there is to say, once, where none of the `known` scalars tells which one is the best; "" otherwise."""
        if self._told or not self.aimless:
            return ""
        self._told, best = True, self.rule.best
        near = get_close_matches(best, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
        return f"Checkpoints(best={best!r}): no such scalar was given so far, so all checkpoints are kept; {hint}"

    def close(self) -> None:
        """Wait for the last hash."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None

    def _keep(self, saved: Saved) -> Saved:
        self._kept = [s for s in self._kept if s.file != saved.file] + [saved]
        for old in self._outlived():
            self._kept.remove(old)
            (self.folder / old.file).unlink(missing_ok=True)
            _sidecar(self.folder / old.file).unlink(missing_ok=True)
        self._hash(saved)
        return saved

    def _write(self, write: Callable[[Path], None], name: str, step: int, epoch: int, score: float | None) -> Saved:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}{self._suffix}"
        # The suffix stays: some frameworks choose the format by it.
        unfinished = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            unfinished.unlink(missing_ok=True)
            write(unfinished)
            _sync(unfinished)
            _sidecar(path).unlink(missing_ok=True)  # it would tell of the file that was there
            os.replace(unfinished, path)
            _sync(self.folder)
        finally:
            unfinished.unlink(missing_ok=True)
        return Saved(path.name, step, epoch, path.stat().st_size, score)

    def _outlived(self) -> list[Saved]:
        """What need not stay: all but the last k, or all but the best and the last once there is a score."""
        if self.aimless:
            return []
        if self.rule.best:
            sign = 1 if self.rule.mode == "max" else -1
            scored = [s for s in self._kept if s.score is not None and s.score == s.score]
            best = max(scored, key=lambda s: (sign * (s.score or 0.0), -s.step), default=None)
            return [s for s in self._kept[:-1] if s is not best]
        return [] if self.rule.keep == "all" else self._kept[: -int(self.rule.keep)]

    def _hash(self, saved: Saved) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._hash_all, name="layerscope-hash", daemon=True)
            self._thread.start()
        self._work.put(saved)

    def _hash_all(self) -> None:
        while (saved := self._work.get()) is not None:
            path = self.folder / saved.file
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                unfinished = path.with_name(f".{path.name}.json")
                unfinished.write_text(json.dumps({**asdict(saved), "sha256": digest}) + "\n")
                os.replace(unfinished, _sidecar(path))
                if not path.exists():  # thinned out meanwhile
                    _sidecar(path).unlink(missing_ok=True)
            except OSError:
                continue  # thinned out before it was hashed, or the disk is full: a hash is no reason to stop


def _found(path: Path) -> Saved | None:
    """What is known of a checkpoint file: by its JSON, or by its name where the process died before that."""
    try:
        return Saved(**json.loads(_sidecar(path).read_bytes()))
    except (OSError, ValueError, TypeError):
        number = path.name.removeprefix("step-").split(".")[0]
        return Saved(path.name, int(number), 0, path.stat().st_size) if number.isdigit() else None


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
