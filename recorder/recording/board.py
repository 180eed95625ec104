"""How do scalars reach TensorBoard while the training runs? From a thread of their own, never in the training's way.

`run.step()` only puts them into a queue, which is written once a second. What fails later ends the writing for
TensorBoard, with a warning; the run has the same scalars. After a kill, TensorBoard may lack the last second.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread

from recorder.errors import LayerscopeError, RecordError, in_words
from recorder.event_file import EventFile, check_installed, event_files, unique_name

PERIOD = 1.0  # seconds between two writings
MOST = 100_000  # steps that may wait, where the disk does not answer
PATIENCE = 5.0  # seconds at the end

Row = tuple[Mapping[str, float], int, float]  # numbers, step, time


class Board:
    """Scalars on their way into an event file in `folder`."""

    def __init__(self, folder: Path, *, begin_at: int = 0) -> None:
        """`begin_at`: what older files of the folder have from this step on is dropped by TensorBoard."""
        self.problem = ""
        folder.mkdir(parents=True, exist_ok=True)
        self._raw = (folder / unique_name()).open("xb", buffering=0)  # so a forked child holds nothing half written
        self._file = EventFile(self._raw, started=time.time())
        self._file.begin_at(begin_at, time=time.time())
        self._rows: deque[Row] = deque()
        self._ending = Event()
        self._thread = Thread(target=self._work, name="layerscope-tensorboard", daemon=True)

    def put(self, numbers: Mapping[str, float], step: int, time: float) -> None:
        """Take the scalars of a step; `problem` says why no more are wanted."""
        if self.problem or not numbers:
            return
        if len(self._rows) >= MOST:
            self.problem = f"the disk did not take {MOST:,} steps"
            return
        self._rows.append((numbers, step, time))
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Write what waits."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.problem = self.problem or f"the disk did not answer within {PATIENCE:.0f} s"
        else:
            self._raw.close()

    def _work(self) -> None:
        last = False
        while not last and not self.problem:
            last = self._ending.wait(PERIOD)
            try:
                while self._rows:
                    numbers, step, at = self._rows.popleft()
                    self._file.scalars(numbers, step, time=at)
            except Exception as error:
                self.problem = in_words(error)


def check(asked: str | os.PathLike[str] | None, *, resume: bool) -> None:
    """RecordError where scalars are to go to TensorBoard and cannot, or would be mixed with those of another run."""
    if asked is None:
        return
    text, folder = os.fspath(asked), Path(asked).expanduser()
    try:
        check_installed()
        folder.mkdir(parents=True, exist_ok=True)
    except LayerscopeError as missing:
        raise RecordError(f"tensorboard={text!r}: {missing}") from missing
    except OSError as error:
        raise RecordError(f"tensorboard={text!r}: no folder can be there: {error.strerror or error}") from error
    if not resume and not text.endswith(os.sep) and (others := event_files(folder)):
        raise RecordError(
            f"tensorboard={text!r}: it holds the events of another run ({others[0].name}), which would be mixed; name "
            f"a new folder, or write {text + os.sep!r} to give each run a folder of its own in it"
        )


def folder_of(asked: str | os.PathLike[str], run: Path) -> Path:
    """The folder itself, or where it ends in a slash one in it that has the run's name."""
    folder = Path(asked).expanduser()
    return folder / run.stem if os.fspath(asked).endswith(os.sep) else folder
