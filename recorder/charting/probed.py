"""On which probe was a series measured: how many samples, what are they called, what do they look like?

A series of another probe than the default one carries its name: `cka@noise`. What belongs together has the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recorder.analysis.picture import Picture
from recorder.probe import AUGMENTATIONS, DEFAULT, suffixed, unsuffixed
from recorder.view import RunView, Window

INPUTS = "probe_input"
MOST = 30  # stretches that are named


def beside(series: str, other: str) -> str:
    """The series `other` of the probe that `series` was measured on: cka@noise, cka_gram -> cka_gram@noise."""
    return suffixed(other, unsuffixed(series)[1])


def probe_of(run: RunView, series: str) -> str:
    """The name of that probe."""
    base, name = unsuffixed(series)
    if not name and base.startswith("augmentation_"):
        return AUGMENTATIONS
    return name or next(iter(run.meta.get("probes", {})), DEFAULT)


def facts(run: RunView, series: str) -> Mapping[str, Any]:
    """What the run knows of it."""
    known = run.meta.get("probes", {}).get(probe_of(run, series), {})
    return known if isinstance(known, Mapping) else {}


def samples(run: RunView, series: str) -> int:
    """How many samples it has; 0 where that is not known."""
    default = 0 if "@" in series else run.meta.get("probe_samples", 0)
    return int(facts(run, series).get("samples", default) or 0)


def sample_name(run: RunView, series: str, k: int) -> str:
    """A sample by its number and what is known of it: "17 cat", "17 rotate 0.25", or just "17"."""
    known = facts(run, series)
    made, labels, classes = (known.get(name) or () for name in ("augmentations", "labels", "classes"))
    if k < len(made):
        strength = f" {made[k]['strength']:.2g}" if made[k]["strength"] else ""
        return f"{k} {made[k]['transform']}{strength}"
    if k < len(labels):
        label = labels[k]
        whole = isinstance(label, int) and 0 <= label < len(classes)
        return f"{k} {classes[label] if whole else label}"
    return f"{k}"


def stretches(run: RunView, series: str, order: np.ndarray) -> tuple[tuple[float, float, str], ...]:
    """(from, to, name) of the samples in this order that have one label, or one transform; () where all are unlike."""
    names = [sample_name(run, series, int(k)).partition(" ")[2] for k in order]
    if facts(run, series).get("augmentations"):
        names = [name.rpartition(" ")[0] or name for name in names]
    starts = [k for k, name in enumerate(names) if k == 0 or name != names[k - 1]]
    if len(starts) > MOST or not any(names):
        return ()
    return tuple((float(a), float(b), names[a]) for a, b in zip(starts, [*starts[1:], len(names)], strict=True))


def by_label(run: RunView, series: str, count: int) -> np.ndarray:
    """(sample,) the order that puts samples of one label beside each other; as they came where they have none."""
    known = facts(run, series)
    labels = known.get("labels") or ()
    if known.get("augmentations") or len(labels) < count:
        return np.arange(count)
    ranks = {label: rank for rank, label in enumerate(sorted(set(labels[:count]), key=lambda x: (str(type(x)), x)))}
    return np.argsort([ranks[label] for label in labels[:count]], kind="stable")


def thumbnail(run: RunView, series: str, k: int) -> np.ndarray | None:
    """Sample k as a picture (height, width[, 3]) from 0 to 1; None where it is none, or was not stored."""
    form, probe = facts(run, series).get("picture"), probe_of(run, series)
    stored = run.series.get(INPUTS)
    item = next((i for i in stored.items if i == probe or i.startswith(f"{probe}/")), None) if stored else None
    if not isinstance(form, Mapping) or item is None:
        return None
    _, rows = run.rows(INPUTS, item, Window(points=1), part=(k, k + 1))
    shape: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in form.items()}
    return Picture(**shape).shown(np.asarray(rows[0]))[0] if len(rows) and len(rows[0]) else None
