"""What does a recording record, how often, at what cost and size? The table of `print(run)` and the progress line."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recorder.number import size
from recorder.recording.forecast import SCALAR, Forecast, duration
from recorder.recording.player import Player
from recorder.runfile.guard import clean

INTERVAL = 0.5  # seconds between two paintings of the line


@dataclass(frozen=True)
class Summary:
    """A recording as it stands."""

    path: Path
    players: Sequence[Player]
    scalars: Sequence[str] = ()
    forecast: Forecast = Forecast()  # noqa: RUF009  frozen
    steps: int = 0
    epochs: int = 0
    step_time: float = 0.0  # seconds, the mean so far, the recorder's own time not counted
    overhead: float = 0.0  # seconds, the recorder's own mean time a step
    written: int = 0  # bytes
    loss: float | None = None
    max_size: int | None = None
    kept: int = 0  # bytes of memory
    storage: str = ""  # what is special about the disk
    thin: int = 1  # of the axis that is thinned most, one row in so many is kept
    flight: int = 0  # steps that the flight recorder keeps
    flight_norms: int = 0  # tensors whose gradient norm it keeps
    flight_reads: int = 0  # bytes a step that are read for it alone

    def __rich__(self) -> RenderableType:
        table = Table(
            title=Text(clean(str(self.path))), caption=Text(self.caption), title_justify="left", caption_justify="left"
        )
        for heading in ("instrument", "recorded", "items", "bytes a row"):
            table.add_column(heading, justify="left" if heading in ("instrument", "recorded") else "right")
        for p in self.players:
            items = len(p.series[0].items) if p.series else 0
            rows = size(sum(s.row_bytes for s in p.series))
            state = "switched off" if p.resting else str(p.schedule)
            table.add_row(Text(clean(p.name)), Text(state), f"{items:,}", rows)
        if self.scalars:
            table.add_row(Text(clean(f"scalars: {', '.join(self.scalars)}")), "each step", f"{len(self.scalars):,}", "")
        if self.flight:
            norms = f"{self.flight_norms:,}" if self.flight_norms else ""
            table.add_row(Text("flight recorder"), f"the last {self.flight} steps, in memory", norms, "")
        return table

    def __str__(self) -> str:
        width = get_terminal_size((100, 24)).columns
        console = Console(width=width, force_terminal=False, color_system=None)
        with console.capture() as captured:
            console.print(self)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    @property
    def caption(self) -> str:
        more = "" if self.scalars else f", and {size(10_000 * SCALAR)} per 10,000 steps for each scalar of the loop"
        said = f"{self.cost}; {size(self.written)} so far, {self.forecast}{more}{self.limit}{self.disk}{self.memory}"
        return said + self.reads

    @property
    def memory(self) -> str:
        """What is kept of the network from one update to the next, also before it is."""
        return f"; {size(self.kept)} of memory from update to update" if self.kept else ""

    @property
    def reads(self) -> str:
        """What the flight recorder costs, where no instrument measures its norms anyway."""
        return (
            f"; {size(self.flight_reads)} of gradients read a step for the flight recorder" if self.flight_reads else ""
        )

    @property
    def disk(self) -> str:
        return f"; on {clean(self.storage)}" if self.storage else ""

    @property
    def limit(self) -> str:
        if not self.max_size:
            return ""
        thinned = f", so that 1 of {self.thin} rows is kept where most come" if self.thin > 1 else ""
        return f"; at most {size(self.max_size)}{thinned}"

    @property
    def cost(self) -> str:
        if not self.steps:
            return "no step yet"
        return f"{self.steps:,} steps, {duration(self.overhead)} a step for recording ({self.share} of a step)"

    @property
    def share(self) -> str:
        """The recorder's own time in proportion to the training's."""
        return f"{100 * self.overhead / self.step_time:.1f} %" if self.step_time > 0 else "0 %"

    @property
    def line(self) -> Text:
        """One line for a terminal."""
        loss = f" · loss {self.loss:.4g}" if self.loss is not None else ""
        where = f"layerscope {clean(self.path.name)} · step {self.steps:,} · epoch {self.epochs}"
        limit = f" of {size(self.max_size)}" if self.max_size else ""
        grows = f"{size(self.written)}{limit}, {size(10_000 * self.forecast.per_step)} per 10,000 steps"
        grows += f", 1 of {self.thin} rows" if self.thin > 1 else ""
        text = f"{where}{loss} · {grows} · +{self.share} time"
        return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


class ProgressLine:
    """The line under the training's own output; nothing where the output is no terminal."""

    def __init__(self, wanted: bool) -> None:
        self._live: Live | None = None
        self._painted = 0.0
        # A console of our own: the user's rich displays keep theirs.
        console = Console(file=sys.stdout)
        if wanted and console.is_terminal and not console.is_jupyter and not console.is_dumb_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stderr=False)
            self._live.start()

    @property
    def due(self) -> bool:
        return self._live is not None and time.monotonic() - self._painted >= INTERVAL and not _tqdm_is_running()

    def paint(self, summary: Summary) -> None:
        if self._live is not None:
            self._live.update(summary.line, refresh=True)
            self._painted = time.monotonic()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _tqdm_is_running() -> bool:
    """Two painters of one line would overwrite each other; the user's own bar goes first."""
    tqdm = sys.modules.get("tqdm")
    return bool(tqdm is not None and getattr(tqdm.tqdm, "_instances", None))
