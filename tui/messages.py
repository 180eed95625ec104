"""What the reading thread tells the screens: plain facts, never an open file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from textual.message import Message

from recorder.analysis.first_bad import first_bad
from recorder.analysis.health import Finding, findings
from recorder.chart import View
from recorder.entries import Entry
from recorder.runfile.schema import Event, State
from tui.export import Written
from tui.requests import Draw, Request
from tui.source import Record


@dataclass(frozen=True)
class RunFacts:
    """What is known of the opened run, as of its last reading; `version` counts the readings that found news."""

    path: Path
    name: str
    state: State
    meta: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    entries: tuple[Entry, ...] = ()
    last_step: int = 0
    epochs: int = 0
    size: int = 0
    started: float = 0.0
    ended: float | None = None
    error: str = ""
    version: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Health findings in the order of their steps."""
        return findings(self.events)

    @cached_property
    def first_bad(self) -> Mapping[str, Finding]:
        """The tensors that went bad, the first one first, each with its first finding."""
        tensors = (entry.items for entry in self.entries if entry.item_dim == "tensor")
        return first_bad(self.findings, max(tensors, key=len, default=()))

    @property
    def anomalies(self) -> tuple[Event, ...]:
        """What the flight recorder noted."""
        return tuple(event for event in self.events if event.kind == "anomaly")

    def entry(self, name: str) -> Entry | None:
        """The entry of that name."""
        return next((e for e in self.entries if e.name == name), None)


class Posted(Message):
    """Anything from the reading thread."""


class RunsListed(Posted):
    """The runs found so far, or all of them."""

    def __init__(self, records: Sequence[Record], *, complete: bool) -> None:
        self.records, self.complete = tuple(records), complete
        super().__init__()


class RunRead(Posted):
    """A run was opened, or has grown."""

    def __init__(self, facts: RunFacts) -> None:
        self.facts = facts
        super().__init__()


class Drawn(Posted):
    """The view that was asked for, with the recorded steps behind it and their places along x."""

    def __init__(self, draw: Draw, view: View, steps: np.ndarray, x: np.ndarray) -> None:
        self.draw, self.view, self.steps, self.x = draw, view, steps, x
        super().__init__()


class ValuesRead(Posted):
    """The values at a step, by the name in the list."""

    def __init__(self, request: Request, values: Mapping[str, float]) -> None:
        self.request, self.values = request, values
        super().__init__()


class Exported(Posted):
    """A figure, and what was wanted beside it, was written."""

    def __init__(self, written: Sequence[Written]) -> None:
        self.written = tuple(written)
        super().__init__()


class Failed(Posted):
    """A request could not be answered; the text says why and what to do."""

    def __init__(self, request: Request, text: str, *, exists: bool = False) -> None:
        self.request, self.text = request, text
        self.exists = exists  # a file was in the way
        super().__init__()


class Done(Posted):
    """All of the first `count` requests were answered, or replaced by newer ones."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__()
