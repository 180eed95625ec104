"""How far is a measurement? A line in a terminal; nothing where the output is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from recorder.measuring.checkpoints import Checkpoint
from recorder.runfile.guard import clean

NAMED = 3  # instruments


class Progress:
    """A bar over checkpoints, which goes when it is closed."""

    def __init__(self, wanted: bool, names: Sequence[str], count: int) -> None:
        console = Console(file=sys.stdout)
        self._bar: Bar | None = None
        if wanted and console.is_terminal and not console.is_dumb_terminal:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn())
            what = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
            self._bar = Bar(
                *columns, TextColumn("{task.fields[file]}", markup=False), TimeRemainingColumn(),
                console=console, transient=True, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._task = self._bar.add_task(clean(what), total=count, file="", completed=-1)
            self._bar.start()

    def at(self, checkpoint: Checkpoint) -> None:
        """Say that it is looked at now, and all before it are done."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1, file=clean(checkpoint.path.name))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
