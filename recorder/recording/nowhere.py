"""Where do the rows of a process go that takes part in a recording and writes nothing? Nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recorder.runfile.layout import run_paths
from recorder.runfile.schema import Event, Series, State


class Nowhere:
    """Takes what a RunWriter takes; another process writes it."""

    storage = ""
    news = False

    def __init__(self, path: Path) -> None:
        self.path, self.folder = run_paths(path)

    def declare(self, *series: Series) -> None:
        """Nothing is declared."""

    def append(self, axis: str, *, step: int, epoch: int, time: float, values: Mapping[str, Any]) -> None:
        """Nothing is recorded."""

    def event(self, event: Event) -> None:
        """Nothing is noted."""

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Nothing is told."""

    def take_news(self) -> list[str]:
        """There are none."""
        return []

    def close(self, state: State = State.DONE, *, error: str = "", epochs: int = 0) -> str:  # noqa: ARG002
        """There is nothing to seal."""
        return ""
