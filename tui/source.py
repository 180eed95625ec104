"""Where do runs come from? A folder or one run on disk; tests hand the explorer a source of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recorder.runfile.schema import Event, State
from recorder.view import RunView

if TYPE_CHECKING:
    from recorder.runfile.listing import RunRecord


class Record(Protocol):
    """One line of the list of runs, found without reading the run."""

    @property
    def path(self) -> Path: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def steps(self) -> int: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def losses(self) -> Sequence[float]: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime(self) -> float: ...
    @property
    def framework(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def meta(self) -> Mapping[str, Any]: ...
    @property
    def health(self) -> Sequence[Event]: ...


class OpenedRun(RunView, Protocol):
    """A run that may still grow; only the reading thread touches it."""

    @property
    def path(self) -> Path: ...
    @property
    def state(self) -> State: ...
    @property
    def last_step(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def started(self) -> float: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def error(self) -> str: ...
    def refresh(self) -> bool: ...
    def close(self) -> None: ...


class Source(Protocol):
    """All that the explorer asks of the disk."""

    @property
    def opened(self) -> Path:
        """What the user named: a folder, or one run."""
        ...

    @property
    def single(self) -> Path | None:
        """The run to begin with, where one was named."""
        ...

    @property
    def folder(self) -> Path:
        """The folder whose runs are listed."""
        ...

    def runs(self) -> Iterator[Record]: ...
    def open(self, path: Path) -> OpenedRun: ...


class Disk:
    """The source that reads files."""

    def __init__(self, opened: Path) -> None:
        self.opened = opened
        self.single = None if opened.is_dir() and opened.suffix != ".d" else opened
        self.folder = opened if self.single is None else opened.parent
        self._known: dict[Path, RunRecord] = {}

    def runs(self) -> Iterator[Record]:
        """Every run under the folder, as it is found; a damaged one is listed with what is wrong.

        What was listed before and cannot have changed is not read again.
        """
        from recorder.runfile.listing import list_runs  # late: h5py is loaded on the reading thread

        listed = {}
        for record in list_runs(self.folder, known=self._known):
            listed[record.path] = self._known[record.path] = record
            yield record
        self._known = listed  # without those that are gone

    def open(self, path: Path) -> OpenedRun:
        """Open one run; raises RunFileError."""
        from recorder.runfile.reader import Run

        return Run.open(path)
