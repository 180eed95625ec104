"""Which numbers does a view show? Its marks as tables, for the CSV beside a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recorder.chart import Band, Bars, Chart, Edges, Heat, Line, Picture, Points, Scale, Table, View
from recorder.charting.signed_log import value_at


@dataclass(frozen=True)
class Columns:
    """One table: what it shows, the names of its columns, and its rows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def csv(self) -> str:
        """The table as CSV text, numbers in full precision."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return text.getvalue()


def columns(view: View) -> list[Columns]:
    """A table for each group of marks that share their x values; a heat map has its columns as the table's columns."""
    return [table for chart in view.charts for table in _of_chart(chart)]


def _of_chart(chart: Chart) -> list[Columns]:
    tables = _curves(chart)
    for m in chart.marks:
        if isinstance(m, Bars):
            name = m.label or chart.y.label or "height"
            tables.append(_table(chart, ("from", "to", name), (*_sides(chart.x, m.edges), m.heights)))
        elif isinstance(m, Points):
            tables.append(_points(chart, m))
        elif isinstance(m, Edges):
            tables.append(_table(chart, ("x0", "y0", "x1", "y1", "weight"), (m.x0, m.y0, m.x1, m.y1, m.weight)))
        elif isinstance(m, Heat):
            tables.append(_heat(chart, m))
        elif isinstance(m, Picture):
            pixels = m.pixels.reshape(m.pixels.shape[0], -1)
            header = tuple(f"pixel {k}" for k in range(pixels.shape[1]))
            tables.append(Columns(chart.title, header, tuple(map(tuple, pixels.tolist()))))
        elif isinstance(m, Table):
            tables.append(Columns(chart.title, m.columns, m.rows))
    return tables


def _curves(chart: Chart) -> list[Columns]:
    """Lines and bands over the same x stand side by side."""
    groups: list[tuple[np.ndarray, list[str], list[np.ndarray]]] = []
    for m in chart.marks:
        if not isinstance(m, Line | Band):
            continue
        group = next((g for g in groups if np.array_equal(g[0], m.x)), None)
        if group is None:
            group = (m.x, [], [])
            groups.append(group)
        name = m.label or chart.y.label
        if isinstance(m, Band):
            group[1].extend((f"{name} min".strip(), f"{name} max".strip()))
            group[2].extend((m.lo, m.hi))
        else:
            group[1].append(f"{name} raw".strip() if m.faint else name or "y")
            group[2].append(m.y)
    return [_table(chart, (chart.x.label or "x", *names), (_whole(chart.x, x), *arrays)) for x, names, arrays in groups]


def _whole(scale: Scale, x: np.ndarray) -> np.ndarray:
    """Steps are whole numbers, however a line holds them."""
    return x.astype(np.int64) if scale.label == "step" and np.array_equal(x, np.round(x)) else x


def _points(chart: Chart, m: Points) -> Columns:
    header = [chart.x.label or "x", chart.y.label or "y"]
    arrays: list[Sequence[object] | np.ndarray] = [m.x, m.y]
    if m.group is not None:
        header.append("group")
        arrays.append([m.group_names[g] for g in m.group] if m.group_names else m.group)
    if m.names:
        header.append("name")
        arrays.append(m.names)
    return _table(chart, tuple(header), arrays)


def _heat(chart: Chart, m: Heat) -> Columns:
    height, width = m.values.shape
    steps = m.column_steps
    across = _places(chart.x, m.x, width) if steps is None else _steps(steps, m.column_ends)
    values: list[list[object]] = m.values.tolist()
    if m.categories:
        values = [[m.categories[int(v)] if np.isfinite(v) else "" for v in row] for row in m.values]
    names = _places(chart.y, m.y, height)
    rows = tuple((name, *row) for name, row in zip(names, values, strict=True))
    return Columns(chart.title, (chart.y.label or "row", *across), rows)


def _steps(first: np.ndarray, last: np.ndarray | None) -> list[str]:
    """The step of each column, or the first and the last that it stands for."""
    ends = zip(first.tolist(), first.tolist() if last is None else last.tolist(), strict=True)
    return [f"step {a}" if a == b else f"steps {a}..{b}" for a, b in ends]


def _places(scale: Scale, edges: np.ndarray | None, n: int) -> list[str]:
    """A name for each row or column of cells: its own, its whole number, or the stretch it covers."""
    if edges is None:
        return [scale.names[k] if k < len(scale.names) else str(k) for k in range(n)]
    centres = (edges[1:] + edges[:-1]) / 2
    if scale.signed_log is None and np.array_equal(centres, np.round(centres)):
        return [scale.names[k] if 0 <= k < len(scale.names) and scale.names[k] else str(k) for k in map(int, centres)]
    return [f"{lo:.6g}..{hi:.6g}" for lo, hi in zip(*_sides(scale, edges), strict=True)]


def _sides(scale: Scale, edges: np.ndarray) -> tuple[list[float], list[float]]:
    """Lower and upper value of each cell; positions on a logarithm come back to twelve digits."""
    values = value_at(scale, edges).tolist()
    if scale.signed_log is not None:
        values = [float(f"{v:.12g}") for v in values]
    return values[:-1], values[1:]


def _table(chart: Chart, header: tuple[str, ...], arrays: Sequence[Sequence[object] | np.ndarray]) -> Columns:
    lists = [a.tolist() if isinstance(a, np.ndarray) else list(a) for a in arrays]
    return Columns(chart.title, header, tuple(zip(*lists, strict=True)))
