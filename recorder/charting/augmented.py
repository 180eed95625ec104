"""What do augmentations do to representations: unit by unit, by transform and strength, and how do the images look?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from recorder.chart import Bars, Chart, Heat, Limits, Line, Mark, Picture, Plate, Scale, View
from recorder.charting import sample_correlation, unit_correlation
from recorder.charting.captions import about, many
from recorder.charting.heat_maps import centred
from recorder.charting.probed import Probed
from recorder.errors import NotRecordedError
from recorder.view import At, RunView, Window

SHARE = "within / total"
DISTANCE = "squared distance / variance"
MOST = 10  # layers whose units are drawn in one chart: as many colours can be told apart


def chart(run: RunView, series: str, at: At, window: Window) -> View:
    """The view of each series that augmentations give."""
    drawers = {
        "augmentation_cosine": cosine,
        "augmentation_distance": distance,
        "augmentation_feature_correlation": features,
        "augmentation_sample_correlation": sample_correlation.chart,
    }
    return drawers.get(series.partition("@")[0], variance)(run, series, at, window)


def features(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001 - drawn at one step
    """Units by units of one layer, over the augmentations."""
    s = run.series[series]
    item = at.item_of(s)
    step, row = run.row(series, at.step, item)
    numbers = unit_correlation.units(run, series, "augmentation_feature_units", at, item, len(row))
    caption = f"{about(run, s)} {item} at step {step:,}, {len(row):,} units, {_how_many(run, series)}."
    title = f"units over augmentations: {item}, step {step:,}"
    return unit_correlation.matrix(np.asarray(row, float), (item, item), (numbers, numbers), title, caption)


def variance(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001 - drawn at one step
    """Each layer's units from the most invariant to the least, and one layer's in model order."""
    s = run.series[series]
    item = at.item_of(s)
    lines: list[Mark] = []
    step = 0
    layers = _some(s.items, item)
    for k, layer in enumerate(layers):
        step, row = run.row(series, at.step, layer)
        values = np.sort(np.asarray(row, float)[np.isfinite(row)])
        if len(values):
            share = (np.arange(len(values)) + 0.5) / len(values)
            lines.append(Line(share, values, layer, colour=k))
    step, row = run.row(series, at.step, item)
    values = np.asarray(row, float)
    title = f"augmentation variance, step {step:,}"
    caption = f"{about(run, s)} {_how_many(run, series)} at step {step:,}: 0 is invariant, 1 only the augmentations."
    if Probed(run, series).images == 1:
        caption += " Of one image alone all variance is within."
    if len(layers) < len(s.items):
        caption += f" {len(layers)} of {len(s.items)} layers."
    y = Scale(SHARE, limits=(0.0, 1.0))
    above = Chart(title, Scale("share of the units"), y, tuple(lines), caption)
    undefined = int((~np.isfinite(values)).sum())
    said = f"{item}, {len(values):,} units" + (
        f", {many(undefined, 'of which does', 'of which do')} not vary." if undefined else "."
    )
    below = Chart(item, Scale(f"unit of {item}"), y, (Bars(centred(len(values)), values, colour=0),), said)
    return Plate(((above,), (below,)), title, f"{caption} Below: {said}", heights=(3.0, 2.0))


def cosine(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001
    """A layer's mean cosine to the clean image, by transform and strength."""
    return _by_strength(run, series, at, "cosine to the clean image", "cosine", (0.0, 1.0))


def distance(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001
    """A layer's mean squared distance from the clean image over its variance, by transform and strength."""
    found = [row[np.isfinite(row)].max(initial=0) for _, row in _rows(run, series, at)]
    return _by_strength(run, series, at, "distance from the clean image", DISTANCE, (0.0, float(max(found)) or 1.0))


def by_type(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001
    """How far each transform moves the representation, layer by layer, mean over the strengths."""
    s = run.series[series]
    rows = _rows(run, series, at)
    step = max(step for step, _ in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is not defined, and so it is drawn
        moved = np.array([np.nanmean(row, axis=1) for _, row in rows])
    transforms, _ = grid(run, series, rows[0][1].shape)
    places = np.arange(float(len(s.items)))
    lines = tuple(Line(places, moved[:, k], name, colour=k) for k, name in enumerate(transforms))
    title = f"variance by augmentation type, step {step:,}"
    caption = f"{about(run, s)} Mean over the strengths, at step {step:,}, {_how_many(run, series)}."
    return Chart(title, Scale("layer", names=s.items), Scale(DISTANCE), lines, caption)


def _some(layers: Sequence[str], chosen: str) -> list[str]:
    """As many layers as have a colour of their own: the first, the last, evenly between, and the chosen one."""
    if len(layers) <= MOST:
        return list(layers)
    places = set(np.linspace(0, len(layers) - 1, MOST - 1).round().astype(int).tolist()) | {layers.index(chosen)}
    return [layers[k] for k in sorted(places)]


def _rows(run: RunView, series: str, at: At) -> list[tuple[int, np.ndarray]]:
    """(step, values) of each layer."""
    found = (run.row(series, at.step, layer) for layer in run.series[series].items)
    return [(step, np.asarray(row, float)) for step, row in found]


def _by_strength(run: RunView, series: str, at: At, what: str, label: str, limits: Limits) -> Chart:
    s = run.series[series]
    item = at.item_of(s)
    step, row = run.row(series, at.step, item)
    transforms, strengths = grid(run, series, np.shape(row))
    heat = Heat(np.asarray(row, float), label=label, limits=limits)
    caption = f"{about(run, s)} {item} at step {step:,}, {_how_many(run, series)}."
    return Chart(
        f"{what}: {item}, step {step:,}", Scale("strength", names=strengths),
        Scale("transform", names=transforms, reverse=True), (heat,), caption,
    )  # fmt: skip


def gallery(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001
    """The clean image, and of each transform one example at each strength."""
    probe = Probed(run, series)
    made = probe.augmentations
    if not made:
        raise NotRecordedError("this run has no probe of augmentations; record one with AugmentationVariance()")
    chosen: dict[tuple[str, float], int] = {}
    for k, one in enumerate(made):
        if one.sample == made[0].sample:
            chosen.setdefault((one.transform, one.strength), k)
    rows: dict[str, list[Chart]] = {}
    once = [
        transform for transform in dict.fromkeys(t for t, _ in chosen) if sum(t == transform for t, _ in chosen) < 2
    ]
    for (transform, _), k in sorted(chosen.items(), key=lambda one: one[1]):
        pixels = probe.thumbnail(k)
        if pixels is None:
            raise NotRecordedError("the probe's images are not in the run; record them with Probe(..., store=True)")
        row = "once" if transform in once else transform
        rows.setdefault(row, []).append(Chart(probe.about(k), marks=(Picture(pixels),)))
    caption = (
        f"{many(len(made), 'image', 'images')} of the probe, of which one of each transform and strength is shown."
    )
    return Plate(tuple(tuple(row) for row in rows.values()), "augmented samples", caption)


def grid(run: RunView, series: str, shape: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The transforms and the strengths that rows and columns of a cosine map stand for."""
    made = [one for one in Probed(run, series).augmentations if one.strength]
    transforms = tuple(dict.fromkeys(one.transform for one in made))
    strengths = tuple(f"{v:g}" for v in sorted({one.strength for one in made}))
    if (len(transforms), len(strengths)) == tuple(shape):
        return transforms, strengths
    return tuple(map(str, range(shape[0]))), tuple(map(str, range(shape[1])))


def _how_many(run: RunView, series: str) -> str:
    probe = Probed(run, series)
    made = len(probe.augmentations) - probe.images
    return f"{many(made, 'augmentation', 'augmentations')} of {many(probe.images, 'image', 'images')}"
