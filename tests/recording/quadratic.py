"""A training with closed forms: loss = 1/2 sum h w^2, gradient h w, steepest descent; watched like any framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recorder.adapters.rows import no_row
from recorder.analysis import histogram, signs
from recorder.number import as_float
from recorder.reading import Collected, Facts, LayerFacts, Plan, Probed, ProbeFacts, Statistic, TensorFacts
from recorder.recording.gathering import STEPS
from tests.instruments.readings import sign_counts

CURVATURE = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([[4.0, 0.5]])}


class Quadratic:
    """The loop of the user and the adapter in one; `lag` delays results as a GPU would."""

    def __init__(self, *, lag: int = 0, rate: float = 0.1, layers: bool = True) -> None:
        self.lag = lag
        self.rate = rate
        self.weights = {"a": np.array([1.0, -1.0, 2.0]), "b": np.array([[0.5, -3.0]])}
        self.before: dict[str, np.ndarray] | None = None
        self.gradient_before: dict[str, np.ndarray] | None = None
        self.attached = False
        self.plans: list[Plan] = []
        self.probes = 0
        self._plan: Callable[[], Plan] = Plan
        self._collected: Collected | None = None
        self._layers = (LayerFacts("relu", "ReLU", (3,)), LayerFacts("tanh", "Tanh", (2,))) if layers else ()
        self._resolved = 0
        self._asked = 0

    # what the loop does
    def gradient(self) -> dict[str, np.ndarray]:
        return {name: CURVATURE[name] * w for name, w in self.weights.items()}

    def loss(self) -> float:
        return float(sum((CURVATURE[n] * w**2).sum() / 2 for n, w in self.weights.items()))

    def update(self) -> None:
        plan = self._plan()
        self.plans.append(plan)
        self._collected = self._pass(plan, self.gradient())
        self.before = {n: w.copy() for n, w in self.weights.items()} if plan.keep_weights else None
        self.gradient_before = self.gradient() if plan.keep_signs else None
        for name, g in self.gradient().items():
            self.weights[name] = self.weights[name] - self.rate * g

    # what the recorder asks
    def facts(self) -> Facts:
        tensors = tuple(TensorFacts(n, w.shape, "float64", n) for n, w in self.weights.items())
        probes = {"probe": ProbeFacts(4, layers=self._layers)} if self._layers else {}
        return Facts("quadratic", tensors, self._layers, probe_samples=4 if self._layers else 0, probes=probes)

    def attach(self, plan: Callable[[], Plan]) -> None:
        self._plan, self.attached = plan, True

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        gathered = self._collected or self._pass(Plan(), None)
        self._collected = None
        numbers = {n: as_float(v) for n, v in scalars.items()} | {"learning_rate": self.rate}
        self._asked += 1
        return lambda: self._later(Collected(gathered.table, gathered.stepped, gathered.raw, numbers))

    def read(self, plan: Plan) -> Collected:
        return self._pass(plan, None)

    def probe(self, name: str = "") -> Probed:
        self.probes += 1
        a = self.weights["a"]
        sample = np.arange(1.0, 5.0)[:, None]
        relu = np.maximum(sample * a, 0).astype("f4")
        tanh = np.tanh(sample * self.weights["b"] * 10).astype("f4")
        return Probed({"relu": relu, "tanh": tanh}, {"": tanh})

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        return {}

    def save(self, path: Path) -> None:
        with path.open("xb") as file:
            np.savez(file, **self.weights)

    def model(self) -> Any:
        return self

    def detach(self) -> None:
        self.attached = False
        self._plan = Plan

    def _later(self, collected: Collected) -> Collected:
        self._resolved += 1
        assert self._asked - self._resolved < self.lag + STEPS
        return collected

    def _pass(self, plan: Plan, gradient: dict[str, np.ndarray] | None) -> Collected:
        def over(f: Callable[[str], Any]) -> np.ndarray:
            return np.array([f(n) for n in self.weights])

        g, w, before = gradient, self.weights, self.before
        nothing = np.zeros(histogram.COLUMNS, int)
        how: dict[Statistic, Callable[[str], Any]] = {
            Statistic.GRADIENT_NORM: lambda n: np.linalg.norm(g[n]) if g else np.nan,
            Statistic.GRADIENT_NONFINITE: lambda n: (~np.isfinite(g[n])).sum() if g else 0,
            Statistic.GRADIENT_HISTOGRAM: lambda n: histogram.counts(g[n]) if g else nothing,
            Statistic.WEIGHT_NORM: lambda n: np.linalg.norm(w[n]),
            Statistic.WEIGHT_NONFINITE: lambda n: (~np.isfinite(w[n])).sum(),
            Statistic.WEIGHT_HISTOGRAM: lambda n: histogram.counts(w[n]),
            Statistic.UPDATE_NORM: lambda n: np.linalg.norm(w[n] - before[n]) if before else np.nan,
        }
        h = self.gradient_before
        past = {n: (h[n].ravel(), before[n].ravel()) for n in w} if h and before else dict.fromkeys(w, (None, None))
        for name in signs.NAMES if g else ():
            how[Statistic(name)] = lambda n, name=name: sign_counts(g[n].ravel(), w[n].ravel(), *past[n], plan.tau)[
                name
            ]
        raw = {}
        for quantity, n in plan.raw:
            if quantity == "weight":
                raw[quantity, n] = w[n].copy()
            elif quantity == "gradient" and g:
                raw[quantity, n] = g[n].copy()
            elif quantity == "update" and before:
                raw[quantity, n] = w[n] - before[n]
        stepped = np.full(len(w), gradient is not None)
        blank = {s: no_row(s, len(w)) for s in plan.statistics - how.keys()}
        return Collected(blank | {s: over(how[s]) for s in plan.statistics & how.keys()}, stepped, raw, {})
