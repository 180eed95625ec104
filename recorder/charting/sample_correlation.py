"""Which samples look alike to a layer: all by all, and beside the map the two samples under the cursor.

Samples of one label stand beside each other; augmentations stand by transform and strength.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recorder.chart import Chart, Heat, Picture, Plate, Scale, View
from recorder.charting.captions import about, many
from recorder.charting.probed import Probed
from recorder.view import At, RunView, Window

TITLES = {
    "sample_correlation": "sample correlation",
    "sample_dissimilarity": "sample dissimilarity",
    "augmentation_sample_correlation": "augmentations",
}


def chart(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001 - drawn at one step
    """Pearson's r of every two samples, from -1 to 1."""
    return _map(run, series, at, series.partition("@")[0])


def dissimilarity(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001
    """1 - r of every two samples, from 0 to 2."""
    return _map(run, series, at, "sample_dissimilarity")


def _map(run: RunView, series: str, at: At, name: str) -> View:
    s = run.series[series]
    item = at.item_of(s)
    step, row = run.row(series, at.step, item)
    probe = Probed(run, series)
    order = probe.order(len(row))
    r = np.asarray(row, float)[np.ix_(order, order)]
    names = tuple(probe.name(int(k)) for k in order)
    different = name == "sample_dissimilarity"
    heat = (
        Heat(1 - r, label="1 - r", limits=(0.0, 2.0))
        if different
        else Heat(r, label="r", limits=(-1, 1), diverging=True)
    )
    title = f"{TITLES.get(name, name)}: {item}, step {step:,}"
    ordered = ", by label" if not np.array_equal(order, np.arange(len(order))) else ""
    doc = about(run, s).replace("Pearson's r", "1 - Pearson's r") if different else about(run, s)
    first = (
        f"the first {len(r):,} of {probe.samples:,}" if len(r) < probe.samples else many(len(r), "sample", "samples")
    )
    caption = f"{doc} {item} at step {step:,}, {first}{ordered}."
    scale = Scale("sample", names=names, parts=probe.stretches(order))
    above = Chart(title, scale, replace(scale, reverse=True), (heat,), caption)
    chosen = at.samples if at.samples is not None else _closest(r, order)
    shown = pictures(probe, chosen)
    if not shown:
        return above
    a, b = (probe.name(k) for k in chosen)
    how = "under the cursor" if at.samples is not None else "most alike"
    return Plate(((above,), shown), title, f"{caption} Below, {how}: samples {a} and {b}.", heights=(3.0, 1.2))


def pictures(probe: Probed, which: Sequence[int]) -> tuple[Chart, ...]:
    """These samples as pictures; () where they are none."""
    found = [(k, probe.thumbnail(k)) for k in which]
    return tuple(Chart(probe.described(k), marks=(Picture(pixels),)) for k, pixels in found if pixels is not None)


def _closest(r: np.ndarray, order: np.ndarray) -> tuple[int, int]:
    """The two samples with the largest r."""
    if len(r) < 2:
        return 0, 0
    apart = np.where(np.eye(len(r), dtype=bool) | np.isnan(r), -np.inf, r)
    row, column = np.unravel_index(int(np.argmax(apart)), r.shape)
    return int(order[row]), int(order[column])
