"""How is a series drawn when nothing is known of it but its kind?

One small function a `Kind`; an instrument with a better idea brings a `chart` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import prod

import numpy as np

from recorder.analysis.signs import unpacked
from recorder.chart import Bars, Chart, Heat, Line, Picture, Plate, Points, Scale, Table, View
from recorder.charting import quantiles
from recorder.charting.captions import about, labelled, many, stretch, words
from recorder.charting.curves import BOXES, curve
from recorder.charting.gaps import shaded
from recorder.charting.heat_maps import COLUMNS, centred, heat_of, over_steps
from recorder.charting.rules import rules
from recorder.charting.sign_map import SIGN_COLOURS, SIGN_NAMES
from recorder.charting.signed_log import binned
from recorder.charting.time_axis import column_edges, places, time_scale
from recorder.errors import NotRecordedError
from recorder.runfile.schema import Kind, Series
from recorder.view import At, RunView, Window


def default_chart(run: RunView, series: str, at: At, window: Window) -> View:
    """The view of a series by its kind; `at` chooses the item and the step, `window` the stretch of steps."""
    if series not in run.series:
        raise NotRecordedError(f"series {series!r} was not recorded in this run; it holds {', '.join(run.series)}")
    declared = replace(run.series[series], doc=about(run, run.series[series]))
    if at.item is not None and at.item not in declared.items:
        raise NotRecordedError(f"series {series!r} has no item {at.item!r}; it has {_some(declared.items)}")
    if not declared.items:
        return Chart(words(series), caption=f"{declared.doc} It has no items.")
    return _CHARTS[declared.kind](run, declared, at, window)


def _scalar(run: RunView, series: Series, at: At, window: Window) -> View:
    if at.item is not None:
        one = curve(run, series.name, at.item, window)
        x, y = time_scale(window.x, one.limits), Scale(at.item, series.unit)
        return Chart(at.item, x, y, one.marks, f"{at.item}, {one.caption}.")
    drawn = [curve(run, series.name, item, window, colour=k) for k, item in enumerate(series.items)]
    marks = tuple(mark for one in drawn for mark in one.marks)
    ends = [end for one in drawn if one.limits is not None for end in one.limits]
    x = time_scale(window.x, (min(ends), max(ends)) if ends else None)
    return Chart(words(series.name), x, Scale(unit=series.unit), marks, series.doc)


def _per_item(run: RunView, series: Series, at: At, window: Window) -> View:
    item = at.item_of(series)
    one = curve(run, series.name, item, window)
    x, y = time_scale(window.x, one.limits), Scale(words(series.name), series.unit)
    if at.item is not None or len(series.items) == 1:
        title = f"{words(series.name)}: {item}"
        return Chart(title, x, y, one.marks, f"{series.doc} {item}, {one.caption}.")
    heat = over_steps(run, series, window)
    below = Chart(item, x, y, one.marks, f"{item}, {one.caption}.")
    return Plate(
        ((heat,), (below,)), heat.title, f"{heat.caption} Below: {below.caption}", heights=(3.0, 2.0), share_x=True
    )


def _distribution(run: RunView, series: Series, at: At, window: Window) -> View:
    item = at.item_of(series)
    clock, counts = run.rows(series.name, item, Window(window.lo, window.hi, min(window.points, COLUMNS), window.x))
    title = f"{words(series.name)}: {item}"
    if not len(clock):
        return _nothing(title, series, item)
    held = counts.sum(axis=1)
    seen = np.flatnonzero(held)  # a row without a value is a quantity that was not there, such as a gradient at the end
    latest = int(clock.step[seen[-1]]) if len(seen) else None
    step, row = run.row(series.name, at.step if at.step is not None else latest, item)
    value_unit = "" if series.unit == "count" else series.unit
    both = binned(
        np.concatenate([counts, row[None]])[:, 1:-2], np.asarray(series.edges), label="value", unit=value_unit
    )
    x = places(clock, run.clock(series.name, item), window.x)
    shown = np.where(held[:, None] > 0, both.counts[:-1], np.nan)
    edges = column_edges(x)
    cells = Heat(shown.T, edges, both.edges, "count", column_steps=clock.step)
    nan = counts[:, -1] > 0
    bad = shaded(edges, nan, nan)[:BOXES]
    caption = f"{series.doc} {item}, {stretch(clock.step)}.{both.note}{_outside(series, counts)}"
    happened = rules(run, clock.step, x, item=item)
    over = Chart(title, time_scale(window.x), both.scale, (cells, *bad, *happened), caption)
    n = int(np.asarray(row).sum())
    bars = Bars(both.edges, both.counts[-1] if n else both.counts[-1] * np.nan, label=f"step {step:,}", colour=0)
    now = Chart(f"step {step:,}", both.scale, Scale("count"), (bars,), f"{item} at step {step:,}: {n:,} values.")
    return Plate(((over,), (now,)), title, f"{caption} Below: {now.caption}", heights=(3.0, 2.0))


def _outside(series: Series, counts: np.ndarray) -> str:
    """What the bins do not hold, over all rows."""
    under, over, nan = (int(counts[:, k].sum()) for k in (0, -2, -1))
    said = [
        (under, f"under {series.edges[0]:g}"),
        (over, f"over {series.edges[-1]:g}"),
        (nan, "NaN"),
    ]
    return "".join(f" {many(n, 'value is', 'values are')} {where}." for n, where in said if n)


def _vector(run: RunView, series: Series, at: At, window: Window) -> View:
    item = at.item_of(series)
    if quantiles.has_quantiles(series):
        return quantiles.chart(run, series, item, window)
    clock, values = run.rows(series.name, item, Window(window.lo, window.hi, min(window.points, COLUMNS), window.x))
    title = f"{words(series.name)}: {item}"
    if not len(clock):
        return _nothing(title, series, item)
    step, row = run.row(series.name, at.step, item)
    unit = _dim(series, 0, "unit")
    edges = centred(len(row))
    x = places(clock, run.clock(series.name, item), window.x)
    heat = heat_of(_numbers(values).T, label=labelled(series), x=column_edges(x), y=edges, column_steps=clock.step)
    caption = f"{series.doc} {item}, {len(row):,} {unit}s, {stretch(clock.step)}."
    over = Chart(title, time_scale(window.x), Scale(unit), (heat, *rules(run, clock.step, x, item=item)), caption)
    bars = Bars(edges, _numbers(row), label=f"step {step:,}", colour=0)
    now = Chart(f"step {step:,}", Scale(unit), Scale(words(series.name), series.unit), (bars,), f"Step {step:,}.")
    return Plate(((over,), (now,)), title, f"{caption} Below: step {step:,}.", heights=(3.0, 2.0))


def _at_step(run: RunView, series: Series, at: At) -> tuple[str, str, np.ndarray]:
    """Title, caption and the values of one item at the cursor's step."""
    item = at.item_of(series)
    step, row = run.row(series.name, at.step, item)
    if at.step is None and not _any_number(row):  # what was not there at the end, such as a gradient
        with suppress(NotRecordedError):
            earlier, values = run.row(series.name, step - 1, item)
            step, row = (earlier, values) if _any_number(values) else (step, row)
    title = f"{words(series.name)}: {item}, step {step:,}"
    size = " x ".join(f"{n:,}" for n in np.shape(row)) or "1"
    return title, f"{series.doc} {item} at step {step:,}, {size} values.", np.asarray(row)


def _matrix(run: RunView, series: Series, at: At, window: Window) -> View:  # noqa: ARG001 - drawn at one step
    title, caption, values = _at_step(run, series, at)
    return _matrix_chart(title, caption, _numbers(values), series)


def _matrix_chart(title: str, caption: str, values: np.ndarray, series: Series) -> Chart:
    heat = heat_of(values, label=labelled(series), x=centred(values.shape[1]), y=centred(values.shape[0]))
    down = Scale(_dim(series, 0, "row"), reverse=True)
    return Chart(title, Scale(_dim(series, 1, "column")), down, (heat,), caption)


def _points(run: RunView, series: Series, at: At, window: Window) -> View:  # noqa: ARG001
    title, caption, values = _at_step(run, series, at)
    names = series.columns or tuple(f"component {k + 1}" for k in range(values.shape[1]))
    panels = [
        Chart(title, Scale(names[0]), Scale(names[k]), (Points(values[:, 0], values[:, k], colour=0),), caption)
        for k in range(1, values.shape[1])
    ]
    return panels[0] if len(panels) == 1 else Plate((tuple(panels),), title, caption)


def _image(run: RunView, series: Series, at: At, window: Window) -> View:  # noqa: ARG001
    title, caption, values = _at_step(run, series, at)
    pixels = values.astype(float) / 255 if values.dtype == np.uint8 else _numbers(values)
    finite = pixels[np.isfinite(pixels)]
    if len(finite) and (finite.min() < 0 or finite.max() > 1):
        lo, hi = float(finite.min()), float(finite.max())
        pixels = (pixels - lo) / (hi - lo) if hi > lo else np.full_like(pixels, 0.5)
        caption += f" Shown from {lo:.3g} (black) to {hi:.3g} (white)."
    return Chart(title, marks=(Picture(pixels, label=series.unit),), caption=caption)


def _trace(run: RunView, series: Series, at: At, window: Window) -> View:  # noqa: ARG001
    title, caption, values = _at_step(run, series, at)
    draws = np.arange(values.shape[1], dtype=float)
    chain = _dim(series, 0, "chain")
    lines = tuple(Line(draws, _numbers(one), f"{chain} {k}", colour=k) for k, one in enumerate(values))
    return Chart(title, Scale(_dim(series, 1, "draw")), Scale(words(series.name), series.unit), lines, caption)


def _raw(run: RunView, series: Series, at: At, window: Window) -> View:
    item = at.item_of(series)
    shape = series.shape_of(item)
    if not shape:
        return _per_item(run, series, At(at.step, item), window)
    title, caption, values = _at_step(run, series, At(at.step, item))
    numbers = _numbers(values)
    if len(shape) == 1:
        line = Line(np.arange(len(numbers), dtype=float), numbers, label=item, colour=0)
        return Chart(title, Scale(_dim(series, 0, "entry")), Scale(words(series.name), series.unit), (line,), caption)
    if len(shape) == 2:
        return _matrix_chart(title, caption, numbers, series)
    finite = numbers[np.isfinite(numbers)]
    heights, edges = np.histogram(finite, bins=min(100, max(1, round(len(finite) ** 0.5))))
    caption += " With more than two dimensions it is drawn as the histogram of its values."
    if len(finite) < numbers.size:
        caption += f" {many(numbers.size - len(finite), 'value is', 'values are')} not finite."
    bars = Bars(edges, heights.astype(float), label=item, colour=0)
    return Chart(title, Scale(words(series.name), series.unit), Scale("count"), (bars,), caption)


def _table(run: RunView, series: Series, at: At, window: Window) -> View:  # noqa: ARG001
    step, values = run.row(series.name, at.step, at.item)
    items = series.items if at.item is None else (at.item,)
    per_item = np.asarray(values).reshape(len(items), -1, series.shape[-1] if series.shape else 1)
    columns = series.columns or tuple(f"column {k + 1}" for k in range(per_item.shape[2]))
    rows = tuple((item, *map(_cell, row)) for item, block in zip(items, per_item, strict=True) for row in block)
    caption = f"{series.doc} Step {step:,}, {len(rows):,} rows."
    return Chart(
        f"{words(series.name)}, step {step:,}", marks=(Table((series.item_dim, *columns), rows),), caption=caption
    )


def _sign_map(run: RunView, series: Series, at: At, window: Window) -> View:
    item = at.item_of(series)
    clock, codes = run.rows(series.name, item, Window(window.lo, window.hi, min(window.points, COLUMNS), window.x))
    title = f"{words(series.name)}: {item}"
    if not len(clock):
        return _nothing(title, series, item)
    sizes = {tensor["name"]: prod(tensor["shape"]) for tensor in run.meta.get("tensors", ())}
    cells = _numbers(unpacked(codes.reshape(len(clock), -1)))[:, : sizes.get(item)]
    heat = Heat(
        cells, centred(cells.shape[1]), centred(len(cells)), categories=SIGN_NAMES, category_colours=SIGN_COLOURS
    )
    times = tuple(f"{int(s):,}" for s in clock.step)
    caption = f"{series.doc} {item}, {cells.shape[1]:,} parameters, {stretch(clock.step)}."
    return Chart(title, Scale("parameter"), Scale("step", names=times, reverse=True), (heat,), caption)


_CHARTS: Mapping[Kind, Callable[[RunView, Series, At, Window], View]] = {
    Kind.SCALAR: _scalar,
    Kind.PER_ITEM: _per_item,
    Kind.VECTOR: _vector,
    Kind.DISTRIBUTION: _distribution,
    Kind.MATRIX: _matrix,
    Kind.SIGN_MAP: _sign_map,
    Kind.POINTS: _points,
    Kind.IMAGE: _image,
    Kind.TRACE: _trace,
    Kind.RAW: _raw,
    Kind.TABLE: _table,
}


def _nothing(title: str, series: Series, item: str) -> Chart:
    return Chart(title, caption=f"{series.doc} {item}: nothing recorded in this stretch.")


def _any_number(values: np.ndarray) -> bool:
    return bool(np.isfinite(_numbers(values)).any())


def _numbers(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(float)


def _dim(series: Series, k: int, otherwise: str) -> str:
    return series.dims[k] if k < len(series.dims) else otherwise


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _some(items: tuple[str, ...], n: int = 8) -> str:
    return ", ".join(map(repr, items[:n])) + (f" and {len(items) - n:,} more" if len(items) > n else "")
