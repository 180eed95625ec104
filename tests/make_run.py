"""Writes a real run of made-up numbers: a falling loss, norms with a spike and a NaN, histograms, findings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recorder.analysis.health import Finding
from recorder.runfile.schema import Event, Kind, Series, State
from recorder.runfile.writer import RunWriter

BEGAN = 1_760_000_000.0
META = {
    "framework": "torch",
    "command": ["python", "train.py", "--lr", "0.1"],
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "host": "node7",
    "versions": {"torch": "2.9.0"},
    "config": {"lr": 0.1, "optimizer": {"name": "adam"}, "seed": 1},
}
EDGES = np.concatenate([-(2.0 ** (np.arange(8, -41, -1) / 2)), 2.0 ** (np.arange(-40, 9) / 2)])


class Training:
    """A training that never happened; `advance` records some more of its steps."""

    def __init__(
        self,
        path: Path,
        *,
        tensors: int = 8,
        histogram_every: int = 50,
        per_epoch: int = 100,
        names: tuple[str, ...] = (),
        meta: Mapping[str, Any] = META,
    ) -> None:
        self.names = names or tuple(f"layer{i // 2}.{'weight' if i % 2 == 0 else 'bias'}" for i in range(tensors))
        self.writer = RunWriter(path, meta=meta)
        self.step, self._every, self._per_epoch = 0, histogram_every, per_epoch
        n = len(self.names)
        scalars = ("loss", "learning_rate")
        self.writer.declare(
            Series("scalars", Kind.SCALAR, "", "Scalars of each step.", scalars, dtype="float64", item_dim="scalar",
                   axis="step"),
            Series("gradient_norm", Kind.PER_ITEM, "loss / weight", "Norm of the tensor's gradient.", self.names,
                   item_dim="tensor", axis="step"),
            Series("weight_histogram", Kind.DISTRIBUTION, "count", "Counts of the tensor's weights.", self.names,
                   (len(EDGES) + 2,), ("bin",), "uint32", "tensor", "rare", edges=tuple(EDGES)),
        )  # fmt: skip
        self._scale = 1 + np.arange(n) % 7

    def advance(self, steps: int) -> None:
        """Record the next steps, the same numbers whatever the portions."""
        t = np.arange(self.step, self.step + steps)
        # A cheap hash of the step stands for noise, so that no state is carried along.
        noise = np.modf(np.sin(t * 12.9898) * 43758.5453)[0]
        loss = np.exp(-t / 300) + 0.1 + 0.03 * noise
        columns = np.arange(len(self.names), dtype=np.float32)
        for k, step in enumerate(t.tolist()):
            clock = {"step": step, "epoch": step // self._per_epoch, "time": BEGAN + 0.1 * step}
            norms = self._scale * np.exp(-step / 400) * (1 + 0.2 * np.sin(columns + step / 9)) + 1e-3
            if step == 60 and len(norms) > 1:
                norms[1] = 500.0
            if step == 90 and len(norms) > 2:
                norms[2] = math.nan
            self.writer.append(
                "step", **clock, values={"scalars": np.array([loss[k], 0.1 * 0.999**step]), "gradient_norm": norms}
            )
            if step % self._every == 0:
                self.writer.append("rare", **clock, values={"weight_histogram": self._histogram(step)})
            if step == 60:
                self._finding(Finding("exploding", self.names[min(1, len(self.names) - 1)], step, 500.0, 100.0))
            if step == 90:
                self._finding(Finding("not_finite", self.names[min(2, len(self.names) - 1)], step, math.nan, 0.0))
        self.step += steps

    def _histogram(self, step: int) -> np.ndarray:
        centres = np.sign(EDGES[:-1] + EDGES[1:]) * np.sqrt(np.abs(EDGES[:-1] * EDGES[1:]) + 1e-12)
        width = 0.05 + 0.001 * step**0.5
        inner = np.exp(-0.5 * (centres / width) ** 2) * np.diff(EDGES) / width
        counts = np.zeros((len(self.names), len(EDGES) + 2), dtype=np.uint32)
        counts[:, 1:-2] = (4000 * inner / inner.sum() * self._scale[:, None]).astype(np.uint32)
        return counts

    def _finding(self, finding: Finding) -> None:
        moment = BEGAN + 0.1 * finding.step
        self.writer.event(Event("health", finding.text, finding.step, finding.step // self._per_epoch, moment))

    def close(self, state: State = State.DONE, error: str = "") -> None:
        """End it."""
        self.writer.close(state, error=error)


def make_run(path: Path, *, steps: int = 400, tensors: int = 8, state: State = State.DONE, **options: Any) -> Path:
    """A whole run on disk; its path."""
    training = Training(path, tensors=tensors, **options)
    training.advance(steps)
    training.close(state)
    return path
