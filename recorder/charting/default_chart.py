"""How is a series drawn when nothing is known of it but its kind?

One small function a `Kind`; an instrument with a better idea brings a `chart` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from recorder.analysis.signs import unpacked
from recorder.chart import Band, Bars, Chart, Heat, Limits, Line, Mark, Picture, Plate, Points, Scale, Table, View
from recorder.charting import quantiles
from recorder.charting.captions import about, many, stretch
from recorder.charting.gaps import counted, not_finite, shaded
from recorder.charting.rules import explained, rules
from recorder.charting.signed_log import binned
from recorder.charting.stretches import Stretches, stretches
from recorder.charting.time_axis import column_edges, places, time_scale
from recorder.errors import NotRecordedError
from recorder.runfile.schema import Kind, Series
from recorder.view import At, Envelope, RunView, Window

COLUMNS = 400  # the most columns of a heat map over steps: more than a figure or a terminal can show
CELLS = 1 << 20  # and the most cells: of ten thousand tensors a hundred columns
BOXES = 100  # shaded stretches beyond this hide what they mark; the caption still counts them
LOG_SPAN = 100.0  # colours go by factors when positive values span more than this

SIGN_NAMES = ("|g| > tau", "-tau <= g < 0", "0 < g <= tau", "g = 0")
SIGN_COLOURS = ("#ffffff", "#d62728", "#2ca02c", "#000000")


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


def words(name: str) -> str:
    """A series' name as words: gradient_norm -> gradient norm."""
    return name.replace("_", " ")


@dataclass(frozen=True, eq=False)
class Curve:
    """The marks of one item over steps, where they begin and end along x, and what they are."""

    marks: tuple[Mark, ...]
    limits: Limits | None
    caption: str


def curve(run: RunView, series: str, item: str, window: Window, *, colour: int = 0) -> Curve:
    """One item over steps: its mean, the band from smallest to largest, shaded where it has gaps, and what happened."""
    e = run.window(series, window, item)
    where = stretches(run, series, item, window, e)
    marks: list[Mark] = []
    if where.summarised:
        marks.append(Band(e.x, e.min, e.max, colour=colour))
    y = _with_infinities(run, series, item, window, e)
    marks.append(Line(e.x, y, label=item, colour=colour))
    bad = not_finite(run, run.series[series], item, window, e) | np.isinf(y)
    marks += shaded(where.edges, e.nonfinite > 0, bad)[:BOXES]
    happened = rules(run, where.steps, where.x, item=item)
    caption = _rows(e, where)
    if where.summarised:
        caption += f", as the mean of {len(e.x):,} stretches with a band from smallest to largest"
    return Curve((*marks, *happened), where.limits, caption + counted(e, bad) + explained(happened))


def _with_infinities(run: RunView, series: str, item: str, window: Window, e: Envelope) -> np.ndarray:
    """The means; where each of them is one row, what was infinite is so again rather than not defined."""
    if e.rows > len(e.x) or not e.nonfinite.any():
        return e.mean
    clock, values = run.rows(series, item, replace(window, points=len(e.x)))
    values = _numbers(values)
    return np.where(np.isinf(values), values, e.mean) if np.array_equal(clock.step, e.step) else e.mean


def over_steps(run: RunView, series: Series, window: Window) -> Chart:
    """Items x steps as a heat map; a cell that stands for several rows shows the one of largest magnitude."""
    columns = min(window.points, COLUMNS, max(CELLS // len(series.items), 2))
    e = run.window(series.name, Window(window.lo, window.hi, columns, window.x))
    values = np.where(np.abs(e.max) >= np.abs(e.min), e.max, e.min).astype(float)
    where = stretches(run, series.name, None, window, e)
    heat = heat_of(
        values.T, label=labelled(series), x=where.edges, y=_centred(len(series.items)), column_steps=where.first
    )
    heat = replace(heat, column_ends=where.last) if where.summarised else heat
    bad = not_finite(run, series, None, window, e)
    hidden = np.isfinite(values) & (e.nonfinite > 0)  # a cell without a value shows that itself
    boxes = [
        replace(box, y0=row - 0.5, y1=row + 0.5)
        for row in np.flatnonzero((bad | hidden).any(axis=0) if len(values) else [])
        for box in shaded(where.edges, hidden[:, row], bad[:, row])
    ]
    caption = f"{series.doc} {len(series.items):,} {series.item_dim}s, {_rows(e, where)}"
    if e.rows > len(e.x):
        caption += f"; each cell is the value of largest magnitude of about {-(-e.rows // len(e.x)):,} rows"
    return Chart(
        words(series.name),
        time_scale(window.x),
        Scale(series.item_dim, names=series.items, reverse=True),
        (heat, *sorted(boxes, key=lambda box: box.role)[:BOXES]),
        caption + counted(e, bad) + ".",
    )


def heat_of(
    values: np.ndarray,
    *,
    label: str = "",
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
    column_steps: np.ndarray | None = None,
) -> Heat:
    """A heat map with the colours its values (row, column) ask for: by factors, around zero, or plain."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    log = bool(len(positive) and finite.min() >= 0 and positive.max() > LOG_SPAN * positive.min())
    diverging = bool(len(positive) and finite.min() < 0)
    limits = (float(positive.min()), float(positive.max())) if log else None
    return Heat(values, x, y, label, limits=limits, log=log, diverging=diverging, column_steps=column_steps)


def labelled(series: Series) -> str:
    """The series' name with its unit, for a colour bar."""
    return words(series.name) + (f" ({series.unit})" if series.unit not in ("", "1") else "")


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
    item = series.items[0] if at.item is None else at.item
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
    item = series.items[0] if at.item is None else at.item
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
    item = series.items[0] if at.item is None else at.item
    if quantiles.has_quantiles(series):
        return quantiles.chart(run, series, item, window)
    clock, values = run.rows(series.name, item, Window(window.lo, window.hi, min(window.points, COLUMNS), window.x))
    title = f"{words(series.name)}: {item}"
    if not len(clock):
        return _nothing(title, series, item)
    step, row = run.row(series.name, at.step, item)
    unit = _dim(series, 0, "unit")
    edges = _centred(len(row))
    x = places(clock, run.clock(series.name, item), window.x)
    heat = heat_of(_numbers(values).T, label=labelled(series), x=column_edges(x), y=edges, column_steps=clock.step)
    caption = f"{series.doc} {item}, {len(row):,} {unit}s, {stretch(clock.step)}."
    over = Chart(title, time_scale(window.x), Scale(unit), (heat, *rules(run, clock.step, x, item=item)), caption)
    bars = Bars(edges, _numbers(row), label=f"step {step:,}", colour=0)
    now = Chart(f"step {step:,}", Scale(unit), Scale(words(series.name), series.unit), (bars,), f"Step {step:,}.")
    return Plate(((over,), (now,)), title, f"{caption} Below: step {step:,}.", heights=(3.0, 2.0))


def _at_step(run: RunView, series: Series, at: At) -> tuple[str, str, np.ndarray]:
    """Title, caption and the values of one item at the cursor's step."""
    item = series.items[0] if at.item is None else at.item
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
    heat = heat_of(values, label=labelled(series), x=_centred(values.shape[1]), y=_centred(values.shape[0]))
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
    item = series.items[0] if at.item is None else at.item
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
    item = series.items[0] if at.item is None else at.item
    clock, codes = run.rows(series.name, item, Window(window.lo, window.hi, min(window.points, COLUMNS), window.x))
    title = f"{words(series.name)}: {item}"
    if not len(clock):
        return _nothing(title, series, item)
    sizes = {tensor["name"]: prod(tensor["shape"]) for tensor in run.meta.get("tensors", ())}
    cells = _numbers(unpacked(codes.reshape(len(clock), -1)))[:, : sizes.get(item)]
    heat = Heat(
        cells, _centred(cells.shape[1]), _centred(len(cells)), categories=SIGN_NAMES, category_colours=SIGN_COLOURS
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


def _rows(e: Envelope, where: Stretches) -> str:
    if where.summarised:  # a bucket shows its first step only
        return f"{e.rows:,} rows of steps {int(where.first[0]):,} to {int(where.last[-1]):,}"
    return stretch(e.step)


def _any_number(values: np.ndarray) -> bool:
    return bool(np.isfinite(_numbers(values)).any())


def _numbers(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(float)


def _centred(n: int) -> np.ndarray:
    """Edges that put cell k around position k, where its name stands."""
    return np.arange(n + 1) - 0.5


def _dim(series: Series, k: int, otherwise: str) -> str:
    return series.dims[k] if k < len(series.dims) else otherwise


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _some(items: tuple[str, ...], n: int = 8) -> str:
    return ", ".join(map(repr, items[:n])) + (f" and {len(items) - n:,} more" if len(items) > n else "")
