"""A made-up training whose layers become more alike: every series of feature signals, as arrays or as a run on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recorder.analysis.layer_pairs import halves, pairs_of
from recorder.runfile.schema import Clock, Kind, Series, State
from recorder.runfile.writer import RunWriter
from tests.fakes import FakeRun, clock

LAYERS = {"fc1": 24, "fc2": 16, "fc3": 12, "out": 5}
SAMPLES, PER_EPOCH = 40, 10
IMAGE = (6, 6)
TRANSFORMS = ("rotate", "shift", "blur")
STRENGTHS = 3
AUGMENTED: list[dict[str, Any]] = [{"sample": 0, "transform": "identity", "strength": 0.0, "parameters": {}, "seed": 0}]
AUGMENTED += [
    {"sample": 0, "transform": name, "strength": k / STRENGTHS, "parameters": {}, "seed": k}
    for name in TRANSFORMS
    for k in range(1, STRENGTHS + 1)
]
PICTURE = {"height": IMAGE[0], "width": IMAGE[1], "channels": 1, "channels_first": True, "black": [0], "white": [1]}

Rows = tuple[Series, Clock, np.ndarray]


def features(epoch: int, seed: int = 0, *, layers: Mapping[str, int] = LAYERS, samples: int = SAMPLES) -> Any:
    """layer -> (sample, unit): noise, and a growing share of one signal of the class; the last unit of fc1 is dead."""
    rng = np.random.default_rng(seed)
    signal = np.sin(np.arange(samples) % 10)
    found = {}
    for k, (name, units) in enumerate(layers.items()):
        sign = np.where(np.arange(units) % 3, 1.0, -1.0)
        x = rng.standard_normal((samples, units)) + 0.4 * epoch * (k + 1) * signal[:, None] * sign
        if k == 0:
            x[:, -1] = 0.0
        found[name] = x
    return found


def series(
    epochs: int = 6, *, layers: Mapping[str, int] = LAYERS, samples: int = SAMPLES, item_dim: str = "pair"
) -> dict[str, Rows]:
    """{name: (series, clock, values)}; ragged values are an object array (row, item)."""
    when, names = clock([k * PER_EPOCH for k in range(epochs)], PER_EPOCH), tuple(layers)
    both = halves(pairs_of(names))
    seen = [features(k, layers=layers, samples=samples) for k in range(epochs)]
    units = [{item: _between(x[a], x[b]) for item, (a, b) in both.items()} for x in seen]
    found: dict[str, Rows] = {}

    def add(name: str, kind: Kind, doc: str, items: Sequence[str], values: Any, **more: Any) -> None:
        more = {"unit": "1", "item_dim": "layer", "axis": "each_epoch_probe"} | more
        found[name] = (Series(name, kind, doc=doc, items=tuple(items), **more), when, values)

    matrices = np.empty((epochs, len(both)), object)
    for row, one in enumerate(units):
        matrices[row] = [*one.values(), None][:-1]
    shapes = tuple((layers[a], layers[b]) for a, b in both.values())
    add("unit_correlation", Kind.MATRIX, "Pearson's r of units.", both, matrices, ragged=shapes,
        dims=("unit", "unit"), item_dim=item_dim, instrument="unit_correlation")  # fmt: skip
    which = np.empty((epochs, len(names)), object)
    for row in range(epochs):
        which[row] = [*(np.arange(n, dtype="i4") * 2 for n in layers.values()), None][:-1]
    add("unit_correlation_units", Kind.VECTOR, "Which units.", names, which, dtype="int32",
        ragged=tuple((n,) for n in layers.values()), instrument="unit_correlation")  # fmt: skip
    summaries = {"mean": np.nanmean, "mean_abs": lambda r: np.nanmean(abs(r)), "rms": lambda r: np.nanmean(r**2) ** 0.5,
                 "max_abs": lambda r: np.nanmax(abs(r)), "q95": lambda r: np.nanquantile(abs(r), 0.95)}  # fmt: skip
    for name, of in summaries.items():
        values = np.array([[of(_others(r, a == b)) for r, (a, b) in zip(one.values(), both.values(), strict=True)]
                           for one in units], "f4")  # fmt: skip
        add(f"correlation_{name}", Kind.PER_ITEM, f"{name} of r.", both, values, item_dim=item_dim,
            instrument="correlation_summary")  # fmt: skip
    dead = np.array([[int((x.std(0) == 0).sum()) for x in one.values()] for one in seen], "u4")
    add("correlation_dead_units", Kind.PER_ITEM, "Units that never change.", names, dead, dtype="uint32",
        unit="count", instrument="correlation_summary")  # fmt: skip
    alike = np.array([[np.corrcoef(x) for x in one.values()] for one in seen], "f4")
    add("sample_correlation", Kind.MATRIX, "Pearson's r of samples.", names, alike, shape=(samples, samples),
        dims=("sample", "sample"), instrument="sample_correlation")  # fmt: skip
    grams = np.array([[_gram(x) for x in one.values()] for one in seen], "f4")
    add("cka_gram", Kind.MATRIX, "Gram matrices.", names, grams, shape=(samples, samples), instrument="cka")
    cka = np.array([[float((g[names.index(a)] * g[names.index(b)]).sum()) for a, b in both.values()] for g in grams])
    add("cka", Kind.PER_ITEM, "Debiased linear CKA.", both, cka.astype("f4"), item_dim=item_dim, instrument="cka")
    alike = np.array([[np.corrcoef(_augmented(x)) for x in one.values()] for one in seen], "f4")
    made = len(AUGMENTED)
    add("augmentation_sample_correlation", Kind.MATRIX, "Pearson's r of augmentations.", names, alike,
        shape=(made, made), dims=("sample", "sample"), instrument="augmentation_variance")  # fmt: skip
    share = np.empty((epochs, len(names)), object)
    for row, one in enumerate(seen):
        share[row] = [*(x.var(0) / (1 + x.var(0)) for x in one.values()), None][:-1]
    add("augmentation_variance", Kind.VECTOR, "Within-image variance over total variance.", names, share,
        ragged=tuple((n,) for n in layers.values()), dims=("unit",), instrument="augmentation_variance")  # fmt: skip
    cosine = 1 - 0.1 * np.arange(1, STRENGTHS + 1) * np.arange(1, len(TRANSFORMS) + 1)[:, None]
    cosines = np.array([[cosine / (1 + 0.1 * k) for k in range(len(names))] for _ in seen], "f4")
    add("augmentation_cosine", Kind.MATRIX, "Cosine to the clean image.", names, cosines, shape=cosine.shape,
        dims=("transform", "strength"), instrument="augmentation_variance")  # fmt: skip
    add("augmentation_distance", Kind.MATRIX, "Squared distance to the clean image.", names, 1 - cosines,
        shape=cosine.shape, dims=("transform", "strength"), instrument="augmentation_variance")  # fmt: skip
    size = np.array([[_dimension(x) for x in one.values()] for one in seen], "f4")
    add("effective_dimension", Kind.PER_ITEM, "Participation ratio.", names, size, instrument="effective_dimension")
    images = np.empty((1, 2), object)
    images[0] = [np.random.default_rng(1).random((n, 1, *IMAGE)).astype("f4") for n in (samples, made)]
    found["probe_input"] = (
        Series("probe_input", Kind.RAW, "", "What the probes ask.", ("probe", "augmentations"), item_dim="probe",
               axis="probe", ragged=((samples, 1, *IMAGE), (made, 1, *IMAGE))), clock([0]), images,
    )  # fmt: skip
    return found


def _augmented(x: np.ndarray) -> np.ndarray:
    """Features of the augmentations: those of the first samples, more noise for stronger ones."""
    rng = np.random.default_rng(2)
    return np.array([x[0] + one["strength"] * rng.standard_normal(x.shape[1]) for one in AUGMENTED])


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(unit of a, unit of b); NaN of dead ones."""
    with np.errstate(invalid="ignore", divide="ignore"):
        za, zb = ((x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), np.nan) for x in (a, b))
    return (za.T @ zb / len(a)).astype("f4")


def _others(r: np.ndarray, own: bool) -> np.ndarray:
    """Without the correlation of each unit with itself."""
    return r[~np.eye(len(r), dtype=bool)] if own else r


def _gram(x: np.ndarray) -> np.ndarray:
    """U-centred and of length 1, so that the product of two is their CKA."""
    k, n = x @ x.T, len(x)
    np.fill_diagonal(k, 0)
    rows = k.sum(0) / (n - 2)
    k = k - rows[:, None] - rows[None] + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k / np.linalg.norm(k)


def _dimension(x: np.ndarray) -> float:
    s = np.cov(x.T)
    return float(np.trace(s) ** 2 / (s**2).sum())


def meta(samples: int = SAMPLES) -> dict[str, Any]:
    """What the run knows of its probe."""
    return {"probe_samples": samples, "probes": {"probe": {
        "samples": samples, "labels": [k % 10 for k in range(samples)], "classes": [f"digit {k}" for k in range(10)],
        "picture": PICTURE, "augmentations": [],
    }, "augmentations": {"samples": len(AUGMENTED), "augmentations": AUGMENTED, "picture": PICTURE}}}  # fmt: skip


def fake_features(epochs: int = 6, **options: Any) -> FakeRun:
    """The series as arrays."""
    return FakeRun("features", series(epochs, **options), meta())


def write_features(path: Path, epochs: int = 6, **options: Any) -> Path:
    """The series as a run on disk; its path."""
    made = series(epochs, **options)
    writer = RunWriter(path, meta=meta())
    writer.declare(*(s for s, _, _ in made.values()))
    when = next(iter(made.values()))[1]
    asked = list(made.pop("probe_input")[2][0])
    writer.append("probe", step=0, epoch=0, time=float(when.time[0]), values={"probe_input": asked})
    for k in range(epochs):
        values = {name: list(v[k]) if s.ragged else v[k] for name, (s, _, v) in made.items()}
        at = {"step": int(when.step[k]), "epoch": int(when.epoch[k]), "time": float(when.time[k])}
        writer.append("each_epoch_probe", **at, values=values)
    writer.close(State.DONE)
    return path
