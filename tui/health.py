"""How is a health finding said in a few words, and when is a run called ill?"""

from __future__ import annotations

from collections.abc import Sequence

from recorder.analysis.health import Finding, Health
from recorder.charting.events import said
from tui.words import plain


def rules(limits: Health | None = None) -> tuple[tuple[str, str], ...]:
    """(name, meaning) of every finding, for the help."""
    h = limits or Health()
    return (
        ("not finite", "a NaN or infinity in loss, gradients or weights"),
        (
            "exploding",
            f"a gradient norm over {h.explode_norm:g}, or {h.explode_ratio:g} x the median of {h.rows} rows before",
        ),
        (
            "loss spike",
            f"a loss over its last {h.rows} values, and over their median by {h.spike_deviations:g} x their deviation",
        ),
        ("vanishing", f"a gradient norm under {h.vanish_ratio:g} x the weight norm over {h.rows} rows"),
        ("dead units", "units with the same activation on every probe sample"),
        ("saturated", f"over {h.saturated_share:.0%} of a sigmoid or tanh layer's activations near its bounds"),
    )


def kind(finding: Finding) -> str:
    """The finding as words: dead_units -> dead units."""
    return plain(finding.finding.replace("_", " "))


def badge(found: Sequence[Finding], width: int) -> str:
    """The first finding's kind and how many other kinds there are."""
    kinds = list(dict.fromkeys(map(kind, found)))
    return kinds[0][: max(width - 3, 1)] + (f" +{len(kinds) - 1}" if len(kinds) > 1 else "") if kinds else ""


def sentence(finding: Finding) -> str:
    """As in "exploding in fc1.weight: gradient norm 2140, limit 1000" or "dead units in relu2: 0.4 % of its units"."""
    return plain(said(finding))
