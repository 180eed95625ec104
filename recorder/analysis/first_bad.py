"""Which tensors went bad in a run, and which of them first?

A tensor is bad from its first value that is not finite, or its first exploding gradient. Many go bad within one step;
then weights that are not finite come before gradients, which follow from them, and gradients in the order in which the
backward pass reaches them: from the last tensor of the model to the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recorder.analysis.health import ANOMALIES, Finding

_WITHIN_A_STEP = ("weight", "gradient", "exploding")


def first_bad(found: Iterable[Finding], tensors: Sequence[str]) -> dict[str, Finding]:
    """{tensor: its first finding} of those that went bad, the first one first; `tensors` are in the model's order."""
    order = {tensor: k for k, tensor in enumerate(tensors)}
    bad: dict[str, tuple[tuple[int, int, int], Finding]] = {}
    for finding in found:
        tensor, what = _told_of(finding)
        if tensor in order and what in _WITHIN_A_STEP:
            place = order[tensor] if what == "weight" else -order[tensor]
            rank = finding.step, _WITHIN_A_STEP.index(what), place
            if tensor not in bad or rank < bad[tensor][0]:
                bad[tensor] = rank, finding
    return {tensor: finding for tensor, (_, finding) in sorted(bad.items(), key=lambda one: one[1][0])}


def first_bad_step(found: Iterable[Finding]) -> int | None:
    """The first step of anything that is an anomaly, of a tensor, a layer or the loss; None where there is none."""
    return min((f.step for f in found if f.finding in ANOMALIES), default=None)


def _told_of(finding: Finding) -> tuple[str, str]:
    """(tensor, what of it is bad)."""
    if finding.finding == "not_finite":
        tensor, _, what = finding.item.rpartition(" ")
        return tensor, what
    return finding.item, finding.finding
