"""Runs and folders made of arrays, in the form that the explorer asks for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.analysis.health import Finding
from recorder.errors import RunFileError
from recorder.runfile.schema import Event, State
from tests.fakes import FakeRun, fake_run


@dataclass
class FakeOpened(FakeRun):
    """A run of arrays that says what a run on disk says about itself."""

    path: Path = Path("runs/fake.h5")
    state: State = State.DONE
    size: int = 1_250_000
    started: float = 1.7e9
    ended: float | None = 1.7e9 + 133
    error: str = ""
    news: bool = False
    closed: bool = False

    @property
    def last_step(self) -> int:
        return max((int(c.step[-1]) for _, c, _ in self.data.values() if len(c)), default=-1)

    @property
    def epochs(self) -> int:
        return max((int(c.epoch[-1]) for _, c, _ in self.data.values() if len(c)), default=0)

    def refresh(self) -> bool:
        news, self.news = self.news, False
        return news

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class FakeRecord:
    """One line of the list of runs."""

    path: Path
    name: str
    state: State = State.DONE
    steps: int = 500
    loss: float | None = 0.25
    losses: Sequence[float] = (1.0, 0.5, 0.25)
    size: int = 1_250_000
    mtime: float = 0.0
    framework: str = "torch"
    error: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    health: Sequence[Event] = ()


@dataclass
class FakeSource:
    """Hands out runs of arrays."""

    opened: Path = Path("runs")
    single: Path | None = None
    folder: Path = Path("runs")
    records: list[FakeRecord] = field(default_factory=list)
    known: dict[str, FakeOpened] = field(default_factory=dict)

    def runs(self) -> Iterator[FakeRecord]:
        yield from list(self.records)

    def open(self, path: Path) -> FakeOpened:
        if str(path) not in self.known:
            raise RunFileError(f"{path} is no run")
        return self.known[str(path)]


FINDINGS = tuple(
    Event("health", finding.text, finding.step, finding.step // 100, 1.7e9 + finding.step)
    for finding in (
        Finding("exploding", "layer0.bias", 250, 50.0, 1000.0),
        Finding("not_finite", "layer1.weight", 166, math.nan, 0.0),
    )
)
META = {
    "framework": "torch",
    "command": ["train.py", "--lr", "0.1"],
    "host": "node7",
    "config": {"lr": 0.1, "optimizer": {"name": "adam"}},
}


def opened(
    path: str = "runs/mlp.h5", *, steps: int = 500, tensors: int = 8, events: Sequence[Event] = FINDINGS, **more: Any
) -> FakeOpened:
    """A run with two scalars, norms and histograms."""
    fake = fake_run(steps, tensors)
    return FakeOpened(Path(path).stem, fake.data, META, tuple(events), path=Path(path), **more)


def folder(*names: str) -> FakeSource:
    """A folder of finished runs, of which each can be opened."""
    names = names or ("mlp2", "mlp10", "cnn")
    source = FakeSource()
    for k, name in enumerate(names):
        run = opened(f"runs/{name}.h5")
        source.known[f"runs/{name}.h5"] = run
        meta = {**META, "config": {"lr": 0.1 / 10**k, "optimizer": {"name": "adam" if k else "sgd"}}}
        source.records.append(
            FakeRecord(run.path, name, mtime=time.time() - 3600 * (k + 1), meta=meta, health=FINDINGS if k == 0 else ())
        )
    return source


def one(run: FakeOpened) -> FakeSource:
    """A single run, opened by its path."""
    return FakeSource(run.path, run.path, run.path.parent, [], {str(run.path): run})
