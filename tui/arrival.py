"""Where does a run open that went wrong? At its first bad step, with the tensors that went bad before all others."""

from __future__ import annotations

from typing import Any

from recorder.analysis.first_bad import first_bad_step
from tui.messages import RunFacts
from tui.state import Place

BEFORE, AFTER = 64, 16  # steps that are shown around the first bad one
NORMS = ("flight_gradient_norm", "gradient_norm")  # the first of them that was recorded


def arrival(facts: RunFacts, place: Place) -> dict[str, Any]:
    """What changes of the place for a run with anomalies."""
    step = first_bad_step(facts.findings)
    if step is None:
        step = min(event.step for event in facts.anomalies)  # an exception
    lo, hi = max(step - BEFORE, 0), min(step + AFTER, facts.last_step)
    changes: dict[str, Any] = {"step": step, "lo": lo, "hi": hi, "anomalies": len(facts.anomalies)}
    norms = next((name for name in NORMS if facts.entry(name) is not None), None)
    if norms is None or not facts.first_bad:
        return {**changes, "screen": "overview", "chosen": {**place.chosen, "overview": "loss"}}
    first = next(iter(facts.first_bad))
    return {
        **changes, "screen": "layers", "chosen": {**place.chosen, "layers": norms}, "item": first, "order": "first bad"
    }  # fmt: skip
