"""What the screens ask of the reading thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from recorder.view import Window
from tui.state import Options


@dataclass(frozen=True)
class Open:
    """Open a run, or read it again from the beginning."""

    path: Path


@dataclass(frozen=True)
class Draw:
    """The view of one entry. `version` makes the same view of a run that has grown another request."""

    run: Path
    entry: str
    item: str | None = None
    step: int | None = None
    window: Window = field(default_factory=Window)
    options: Options = field(default_factory=Options)
    version: int = 0
    samples: tuple[int, int] | None = None  # of a map of samples: which two are looked at


@dataclass(frozen=True)
class ReadScalars:
    """The scalars at a step (None: the latest)."""

    run: Path
    step: int | None
    version: int = 0


@dataclass(frozen=True)
class ReadItems:
    """One entry's number for every item at a step."""

    run: Path
    entry: str
    step: int | None
    version: int = 0


@dataclass(frozen=True)
class Export:
    """Write the view as a file."""

    draw: Draw
    path: Path
    format: Literal["pdf", "svg", "png"] = "pdf"
    preset: Literal["single", "double", "slide"] = "single"
    csv: bool = False
    caption: bool = False
    force: bool = False
    panels: tuple[str, ...] = ()  # entries beside this one, lettered
    style: str = ""  # a .mplstyle file or the name of a style
    every_step: bool = False  # a figure for each recorded step


@dataclass(frozen=True)
class WatchRuns:
    """List the runs now and again from here on, or stop doing so."""

    on: bool


Request = Open | Draw | ReadScalars | ReadItems | Export | WatchRuns
