"""What happened in a run, and when? Its events as a table of words, oldest first."""

from __future__ import annotations

import math

import numpy as np

from recorder.analysis.health import Finding, findings
from recorder.chart import Chart, Table
from recorder.charting.captions import many
from recorder.runfile.schema import Event
from recorder.view import At, RunView, Window

NAME = "events"
DOC = "What happened in the run: phases, checkpoints, skipped updates, warnings, notes and health findings."

_SHARES = {"dead_units": "units", "saturated": "activations"}  # findings whose value is a share, and of what


def steps(run: RunView) -> np.ndarray:
    """The steps at which something happened, ascending, each once."""
    return np.unique(np.array([step for step, _, _, _ in told(run)], dtype=np.int64))


def chart(run: RunView, series: str, at: At, window: Window) -> Chart:  # noqa: ARG001 - no series is behind it
    """The events within the window as a table; the one at or before the cursor is told in full."""
    lo, hi = (-math.inf if window.lo is None else window.lo), (math.inf if window.hi is None else window.hi)
    shown = [one for one in told(run) if lo <= one[0] <= hi]
    if not shown:
        return Chart(NAME, caption=f"{DOC} Nothing in this stretch.")
    row = max(sum(at.step is None or step <= at.step for step, _, _, _ in shown) - 1, 0)
    rows = tuple((f"{step:,}", f"{epoch:,}", kind, text) for step, epoch, kind, text in shown)
    step, _, kind, text = shown[row]
    caption = f"{many(len(rows), 'event', 'events')}. Step {step:,}, {kind}: {text}"
    return Chart(NAME, marks=(Table(("step", "epoch", "kind", "what happened"), rows, row=row),), caption=caption)


def said(finding: Finding) -> str:
    """As in "exploding in fc1.weight: gradient norm 2140, limit 1000" or "dead units in relu2: 0.4 % of its units"."""
    text = f"{finding.finding.replace('_', ' ')} in {finding.item}"
    if finding.finding in _SHARES:
        value, limit = f"{_percent(finding.value)} of its {_SHARES[finding.finding]}", _percent(finding.limit)
    elif finding.finding == "loss_spike":
        value, limit = f"{finding.value:.4g}", f"{finding.limit:.4g}"
    elif finding.finding in ("exploding", "vanishing"):
        value, limit = f"gradient norm {finding.value:.4g}", f"{finding.limit:.4g}"
    else:
        return text
    return f"{text}: {value}" + (f", limit {limit}" if math.isfinite(finding.limit) and finding.limit else "")


def told(run: RunView) -> list[tuple[int, int, str, str]]:
    """(step, epoch, kind, words) by step; a finding stands at its first bad step."""
    return sorted((_words(event) for event in run.events), key=lambda one: one[0])


def _words(event: Event) -> tuple[int, int, str, str]:
    for finding in findings([event]):
        return finding.step, event.epoch, event.kind, said(finding)
    return event.step, event.epoch, event.kind, event.text


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.2g}'):g} %"
