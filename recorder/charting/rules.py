"""Which of a run's events stand as rules on a chart over steps?

Phases, a resumed training, skipped updates, an instrument switched off, whatever the user noted; the first step at
which the training went wrong, and on the curve of one item what was found there. Checkpoints come too regularly to be
drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recorder.analysis.health import ANOMALIES, findings
from recorder.chart import Rule
from recorder.view import RunView

REGULAR = ("checkpoint", "health", "anomaly")  # health is drawn finding by finding
BAD = ("warning", "off", "dropped")
NAMED = 5  # rules that a caption explains
MOST = 20  # rules beyond this hide the curve


def rules(run: RunView, steps: np.ndarray, x: np.ndarray, *, item: str | None = None) -> tuple[Rule, ...]:
    """The rules of a chart whose rows, at `steps` (row,) ascending, stand at `x` (row,); `item` is whom it shows."""
    if not len(steps):
        return ()
    found = {(step, label): role for step, label, role in _said(run, item) if steps[0] <= step <= steps[-1]}
    bad_first = sorted(found.items(), key=lambda one: (one[1] != "bad", one[0]))[:MOST]  # painters give them room first
    return tuple(Rule(float(np.interp(step, steps, x)), "x", label, role) for (step, label), role in bad_first)


def explained(drawn: Sequence[Rule]) -> str:
    """What a caption adds about rules: what stands at the first few."""
    places: dict[str, list[float]] = {}
    for rule in drawn:
        places.setdefault(rule.label, []).append(rule.at)
    few = [
        f"{label} ({at[0]:,.6g}{f' and {len(at) - 1} more' if len(at) > 1 else ''})"
        for label, at in list(places.items())[:NAMED]
    ]
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return f"; rules: {', '.join(few)}{more}" if drawn else ""


def _said(run: RunView, item: str | None) -> Iterator[tuple[int, str, str]]:
    """(step, label, role) of every event that is drawn."""
    for event in run.events:
        if event.kind not in REGULAR:
            label = "resumed" if event.kind == "resumed" else event.text or event.kind
            yield event.step, label, "bad" if event.kind in BAD else "note"
    spoilt = False
    for f in findings(run.events):
        words = f.finding.replace("_", " ")
        if item is not None and item in (f.item, f.item.rpartition(" ")[0]):
            yield f.step, words, "bad"
        elif f.finding in ANOMALIES and not spoilt:
            yield f.step, f"{words}: {f.item}", "bad"
        spoilt = spoilt or f.finding in ANOMALIES
