"""Is the training in good health, and when did it first go wrong?

Judged on what was recorded, row by row, each finding once with its first bad step:

    not_finite   a NaN or an infinity in the loss, a gradient or a weight
    exploding    a gradient norm over 1e3, or over 100 x the median of its last 100 recorded rows
    loss_spike   a loss over all of its last 100 steps, and over their median by 20 x their median absolute deviation
    vanishing    a gradient norm under 1e-7 x the weight norm over 100 recorded rows
    dead_units   units with the same activation on every probe sample
    saturated    over half of a sigmoid or tanh layer's activations within 5 % of its bounds
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

import numpy as np

from recorder.analysis.spike import Past

ANOMALIES = ("not_finite", "exploding", "loss_spike")  # findings after which a training is rarely what it was


@dataclass(frozen=True)
class Health:
    """The thresholds; infinity or a share of 1 switches a rule off."""

    explode_norm: float = 1e3
    explode_ratio: float = 100.0  # times the median of the rows before
    vanish_ratio: float = 1e-7  # times the weight norm
    spike_deviations: float = 20.0  # of the loss from its median, times the median absolute deviation
    rows: int = 100  # the memory of `explode_ratio` and of losses, and the length of a vanishing stretch
    at_least: int = 10  # rows before a median counts
    dead_share: float = 0.0  # of a layer's units
    saturated_share: float = 0.5  # of a layer's activations


@dataclass(frozen=True)
class Finding:
    """One thing found wrong: `finding` of `item` was `value` at `step`, over (or under) `limit`."""

    finding: str  # "not_finite", "exploding", "loss_spike", "vanishing", "dead_units", "saturated"
    item: str
    step: int
    value: float
    limit: float

    @property
    def text(self) -> str:
        """The JSON text of a health event; numbers that are not finite are strings there."""
        value: float | str = self.value if np.isfinite(self.value) else str(self.value)
        said = {"finding": self.finding, "item": self.item, "since": self.step, "value": value, "limit": self.limit}
        return json.dumps(said)


class HealthEvent(Protocol):
    """What is read of a run's event."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def step(self) -> int: ...


def findings(events: Iterable[HealthEvent]) -> tuple[Finding, ...]:
    """The findings among a run's events, as they came about; an event that cannot be read is passed over."""
    found: list[Finding] = []
    for event in events:
        if event.kind != "health":
            continue
        try:
            said = json.loads(event.text)
            step, value, limit = int(said.get("since", event.step)), float(said["value"]), float(said["limit"])
            found.append(Finding(str(said["finding"]), str(said["item"]), step, value, limit))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return tuple(f for _, f in sorted(enumerate(found), key=_place))


def _place(numbered: tuple[int, Finding]) -> tuple[int, bool, int]:
    """By steps; within one, gradients come last, as the backward pass meets them: from the last tensor to the first."""
    k, f = numbered
    backward = f.finding == "exploding" or (f.finding == "not_finite" and f.item.endswith(" gradient"))
    return f.step, backward, -k if backward else k


@dataclass(frozen=True)
class Judged:
    """What was judged of a training before it was resumed."""

    findings: tuple[Finding, ...] = ()
    rows: tuple[tuple[int, Mapping[str, Mapping[str, float]]], ...] = ()  # (step, {series: {item: value}}), the last
    losses: Mapping[str, Sequence[float]] = field(default_factory=dict)  # the last of each


@dataclass
class Monitor:
    """Watches the rows as they are recorded and says each finding once.

    `units` and `numbers` say how many units a layer has, and how many activations on the probe batch.
    """

    limits: Health
    units: Mapping[str, int] = field(default_factory=dict)  # layer -> units
    numbers: Mapping[str, int] = field(default_factory=dict)  # layer -> activations on the probe batch
    again: Counter[str] = field(default_factory=Counter)  # finding -> steps at which it was met after it was said
    _said: set[tuple[str, str]] = field(default_factory=set)
    _met: dict[str, int] = field(default_factory=dict)  # finding -> the last step at which it was met
    _losses: dict[str, Past] = field(default_factory=dict)
    _norms: np.ndarray | None = None  # (rows, tensor), a ring
    _lowest: np.ndarray | None = None  # (tensor,) no norm in the ring is lower; the lowest may have left it
    _seen: int = 0
    _weights: np.ndarray | None = None  # (tensor,) the last weight norms
    _weak: np.ndarray | None = None  # (tensor,) rows in a row under the vanishing limit
    _weak_since: np.ndarray | None = None  # (tensor,) the step at which that stretch began

    def recall(self, judged: Judged, items: Mapping[str, Sequence[str]]) -> None:
        """Go on as if all of this had been judged here; what was said before is not said again."""
        for step, row in judged.rows:
            values = {s: np.array([row[s].get(item, np.nan) for item in items[s]]) for s in row if s in items}
            self.row(step, items, values)
        for name, losses in judged.losses.items():
            past = self._losses.setdefault(name, Past(self.limits.rows))
            for loss in losses:
                past.take_in(loss)
        self._said = {(finding.finding, finding.item) for finding in judged.findings}
        self._met = {finding.finding: finding.step for finding in judged.findings}
        self.again.clear()

    def scalars(self, step: int, values: Mapping[str, float], *, each_step: bool = True) -> tuple[Finding, ...]:
        """Findings in the scalars of a step: every loss has to be finite, and those of `each_step` without a spike."""
        found: list[Finding] = []
        for name, value in values.items():
            if "loss" not in name:
                continue
            if not isfinite(value):
                self._say(found, "not_finite", name, step, value, 0.0)
            elif each_step:
                if (past := self._losses.get(name)) is None:
                    past = self._losses[name] = Past(self.limits.rows)
                limit = past.spike(value, deviations=self.limits.spike_deviations, at_least=self.limits.at_least)
                if limit is not None:
                    self._say(found, "loss_spike", name, step, value, limit)
        return tuple(found)

    def stands_out(self, values: Mapping[str, float]) -> bool:
        """Whether a loss among the scalars of a step may be a finding, so that they had better be judged at once."""
        for name, value in values.items():
            if "loss" in name and not (isfinite(value) and (past := self._losses.get(name)) and value <= past.peak):
                return True
        return False

    def row(self, step: int, items: Mapping[str, Sequence[str]], row: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Findings in one row {series: (item,) array}, with the item names of each series."""
        found: list[Finding] = []
        for series in ("gradient_nonfinite", "weight_nonfinite", "activation_nonfinite"):
            if series in row:
                for i in _where(row[series]):
                    what = f"{items[series][i]} {series.split('_')[0]}"
                    self._say(found, "not_finite", what, step, row[series][i], 0)
        if "weight_norm" in row:
            self._weights = np.asarray(row["weight_norm"], dtype=np.float64)
        if "gradient_norm" in row:
            norms = np.asarray(row["gradient_norm"], dtype=np.float64)
            self._exploding(found, step, items["gradient_norm"], norms)
            if self._weights is not None:
                self._vanishing(found, step, items["gradient_norm"], norms, self._weights)
        for series, finding, whole, limit in (
            ("activation_dead_units", "dead_units", self.units, self.limits.dead_share),
            ("activation_saturated_count", "saturated", self.numbers, self.limits.saturated_share),
        ):
            if series not in row:
                continue
            for layer, count in zip(items[series], row[series], strict=True):
                share = float(count) / max(1, whole.get(layer, 0))
                if share > limit:
                    self._say(found, finding, layer, step, share, limit)
        return tuple(found)

    def _exploding(self, found: list[Finding], step: int, names: Sequence[str], norms: np.ndarray) -> None:
        if self._norms is None or self._lowest is None:
            self._norms = np.full((self.limits.rows, len(norms)), np.nan)
            self._lowest = np.full(len(norms), np.inf)
        self._norms, self._lowest = _wider(self._norms, len(norms), np.nan), _wider(self._lowest, len(norms), np.inf)
        for i in _where(norms > self.limits.explode_norm):
            self._say(found, "exploding", names[i], step, norms[i], self.limits.explode_norm)
        if self._seen >= self.limits.at_least and self.limits.explode_ratio < np.inf:
            # The median lies above the lowest norm: most rows need no median at all.
            for i in _where(norms > self.limits.explode_ratio * self._lowest):
                before = self._norms[np.isfinite(self._norms[:, i]), i]
                self._lowest[i] = before.min(initial=np.inf)
                limit = self.limits.explode_ratio * float(np.median(before)) if len(before) else 0.0
                if len(before) >= self.limits.at_least and 0 < limit < norms[i] < np.inf:
                    self._say(found, "exploding", names[i], step, norms[i], limit)
        self._norms[self._seen % self.limits.rows] = norms
        np.fmin(self._lowest, norms, out=self._lowest)
        self._seen += 1

    def _vanishing(
        self, found: list[Finding], step: int, names: Sequence[str], norms: np.ndarray, weights: np.ndarray
    ) -> None:
        if self._weak is None or self._weak_since is None:
            self._weak = np.zeros(len(norms), dtype=np.int64)
            self._weak_since = np.zeros(len(norms), dtype=np.int64)
        self._weak, self._weak_since = _wider(self._weak, len(norms), 0), _wider(self._weak_since, len(norms), 0)
        limit = self.limits.vanish_ratio * _wider(weights, len(norms), np.nan)
        weak = norms < limit  # NaN, "not stepped", is no weakness
        if not np.count_nonzero(weak):
            self._weak.fill(0)
            return
        self._weak_since[weak & (self._weak == 0)] = step
        self._weak = np.where(weak, self._weak + 1, 0)
        for i in _where(self._weak >= self.limits.rows):
            self._say(found, "vanishing", names[i], int(self._weak_since[i]), norms[i], limit[i])

    def _say(self, found: list[Finding], finding: str, item: str, step: int, value: Any, limit: Any) -> None:
        if (finding, item) not in self._said:
            self._said.add((finding, item))
            found.append(Finding(finding, item, step, float(value), float(limit)))
        if self._met.get(finding, step) != step:
            self.again[finding] += 1
        self._met[finding] = step


def _wider(known: np.ndarray, tensors: int, blank: float) -> np.ndarray:
    """With room for the tensors that came later; the very array where there are none."""
    more = tensors - known.shape[-1]
    return np.concatenate([known, np.full((*known.shape[:-1], more), blank, known.dtype)], -1) if more > 0 else known


def _where(found: np.ndarray) -> list[int]:
    """The positions of what is not 0, mostly none."""
    return np.nonzero(found)[0].tolist() if np.count_nonzero(found) else []
