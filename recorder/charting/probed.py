"""On which probe was a series measured, how many samples has it, and what else was measured on it?

A series of another probe than the default one carries its name: `cka@noise`. What belongs together has the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.view import RunView

DEFAULT = "probe"


def beside(series: str, other: str) -> str:
    """The series `other` of the probe that `series` was measured on: cka@noise, cka_gram -> cka_gram@noise."""
    _, at, probe = series.partition("@")
    return f"{other}{at}{probe}"


def facts(run: RunView, series: str) -> Mapping[str, Any]:
    """What the run knows of that probe."""
    probes = run.meta.get("probes", {})
    name = series.partition("@")[2] or next(iter(probes), DEFAULT)
    known = probes.get(name, {})
    return known if isinstance(known, Mapping) else {}


def samples(run: RunView, series: str) -> int:
    """How many samples it has; 0 where that is not known."""
    default = 0 if "@" in series else run.meta.get("probe_samples", 0)
    return int(facts(run, series).get("samples", default) or 0)


def sample_names(run: RunView, series: str) -> tuple[str, ...]:
    """The samples by number and label, as in "17 cat"; () where there are no labels."""
    known = facts(run, series)
    labels, classes = known.get("labels") or (), known.get("classes") or ()
    return tuple(f"{k} {_label(label, classes)}" for k, label in enumerate(labels))


def _label(label: Any, classes: Any) -> str:
    whole = isinstance(label, int) and 0 <= label < len(classes)
    return str(classes[label]) if whole else str(label)
