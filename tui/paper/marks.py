"""How is each mark of a chart drawn with matplotlib? One function a mark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import Bbox

from recorder.chart import Band, Bars, Box, Chart, Edges, Heat, Line, Mark, Picture, Points, Rule, Table, Text
from tui.paper.text import fits, literal, table_lines
from tui.words import clip

BAD = "#D55E00"
FEW_POINTS = 30  # up to here a curve shows where it was recorded
MANY_POINTS = 2000  # beyond it dots become pixels, so that a PDF stays small
DIVERGING = "RdBu_r"
RULE_WORDS = 28  # the most characters along a rule


@dataclass
class Panel:
    """A chart being drawn: where, in which colours, and what the legend will say."""

    ax: Axes
    chart: Chart
    colours: str | None = None  # the map of heat maps; None: matplotlib's own setting
    handles: dict[str, Artist] = field(default_factory=dict)
    used: int = 0
    said: dict[str, tuple[float, float]] = field(default_factory=dict)  # words along a rule: their share of the width

    def colour(self, index: int | None) -> Any:
        """The colour of that index in the palette; None takes the next free one."""
        palette = matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", ["C0"])
        if index is None:
            index = self.used
        self.used = max(self.used, index + 1)
        return palette[index % len(palette)]

    def repeats(self, index: int | None) -> bool:
        """Was the palette used up before this colour, so that it needs another sign of its own?"""
        return index is not None and index >= len(matplotlib.rcParams["axes.prop_cycle"])

    def explain(self, label: str, artist: Artist) -> None:
        """Put the artist into the legend, once under each label."""
        if label:
            self.handles.setdefault(label, artist)


def page(ax: Axes) -> tuple[float, float]:
    """Width and height, in points, of the figure that the axes stand on."""
    box = ax.figure.bbox
    return 72 * box.width / ax.figure.dpi, 72 * box.height / ax.figure.dpi


def draw_mark(mark: Mark, panel: Panel) -> None:
    """Draw one mark of the closed set."""
    _DRAW[type(mark)](mark, panel)


def _line(m: Line, panel: Panel) -> None:
    ax, colour = panel.ax, panel.colour(m.colour)
    x, y = np.asarray(m.x, dtype=float), np.asarray(m.y, dtype=float)
    shown = np.isfinite(y) & (y > 0 if panel.ax.get_yscale() == "log" else True)
    look: dict[str, Any] = {"color": colour, "zorder": 2.2, "solid_joinstyle": "round"}
    if m.faint:
        look |= {"alpha": 0.3, "linewidth": 0.7 * matplotlib.rcParams["lines.linewidth"], "zorder": 2.1}
    if m.dashed or panel.repeats(m.colour):
        look |= {"linestyle": "--"}
    if m.steps:
        look |= {"drawstyle": "steps-post"}
    if len(x) <= FEW_POINTS and not m.faint and not m.steps:
        look |= {"marker": "o", "markersize": 0.8 * matplotlib.rcParams["lines.markersize"]}
    (drawn,) = ax.plot(x, np.where(shown, y, np.nan), **look)
    alone = shown & ~np.append(False, shown[:-1]) & ~np.append(shown[1:], False)
    if alone.any():  # a value between two gaps makes no line
        ax.plot(x[alone], y[alone], ".", color=colour, alpha=look.get("alpha", 1), zorder=look["zorder"])
    for infinite, marker, at in ((np.isposinf(y), "^", 1), (np.isneginf(y), "v", 0)):
        if infinite.any():
            ends = np.full(int(infinite.sum()), at)
            (top,) = ax.plot(
                x[infinite], ends, marker, color=BAD, clip_on=False, transform=ax.get_xaxis_transform(), scalex=False,
                scaley=False, zorder=4,
            )  # fmt: skip
            panel.explain("infinite", top)
    if not m.faint:
        panel.explain(m.label, drawn)


def _band(m: Band, panel: Panel) -> None:
    colour = panel.colour(m.colour)
    thin = 0.4 * matplotlib.rcParams["lines.linewidth"]  # an outline, so that a spike of one step is seen
    lo, hi = np.asarray(m.lo, dtype=float), np.asarray(m.hi, dtype=float)
    if panel.ax.get_yscale() == "log":  # 0 lies below all that can be shown: such a side is where the lowest other is
        sides = np.concatenate([lo, hi])
        lo = np.where(lo <= 0, sides[sides > 0].min(initial=np.inf), lo)
    area = panel.ax.fill_between(
        m.x, lo, m.hi, facecolor=colour, edgecolor=colour, alpha=0.25, linewidth=thin, zorder=2
    )
    panel.explain(m.label, area)


def _bars(m: Bars, panel: Panel) -> None:
    heights = np.asarray(m.heights, dtype=float)
    positive = heights[np.isfinite(heights) & (heights > 0)]
    base = positive.min() / 2 if panel.ax.get_yscale() == "log" and len(positive) else 0.0
    several = sum(isinstance(other, Bars) for other in panel.chart.marks) > 1
    look: dict[str, Any] = {"color": panel.colour(m.colour), "alpha": 0.5 if several else 0.85, "linewidth": 0}
    shown = np.where(np.isfinite(heights), heights, np.nan)
    if panel.chart.x.names and panel.chart.x.signed_log is None:  # one bar a name
        centres, widths = (m.edges[1:] + m.edges[:-1]) / 2, 0.8 * np.diff(m.edges)
        panel.explain(m.label, panel.ax.bar(centres, shown, widths, **look)[0] if len(shown) else Patch())
        return
    steps = panel.ax.stairs(shown, m.edges, baseline=base, fill=True, **look)
    panel.explain(m.label, steps)


def _points(m: Points, panel: Panel) -> None:
    size = float(np.clip(4000 / max(len(m.x), 1), 2, 14)) * matplotlib.rcParams["lines.linewidth"]
    look: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.8, "rasterized": len(m.x) > MANY_POINTS}
    if m.group is None:
        panel.explain(m.label, panel.ax.scatter(m.x, m.y, color=panel.colour(m.colour), **look))
        return
    for group in np.unique(m.group):
        inside = m.group == group
        marker = "s" if panel.repeats(int(group)) else "o"
        dots = panel.ax.scatter(m.x[inside], m.y[inside], color=panel.colour(int(group)), marker=marker, **look)
        panel.explain(m.group_names[group] if group < len(m.group_names) else str(group), dots)


def _heat(m: Heat, panel: Panel) -> None:
    ax = panel.ax
    values = np.asarray(m.values, dtype=float)
    if not values.size:
        return
    rows, columns = values.shape
    # a row or column without edges stands around its number, where its name is
    x = m.x if m.x is not None else np.arange(columns + 1) - (0.5 if panel.chart.x.names else 0)
    y = m.y if m.y is not None else np.arange(rows + 1) - (0.5 if panel.chart.y.names else 0)
    if np.isnan(values).any():
        ax.patch.set(facecolor="#f4f4f4", hatch="//////", edgecolor=matplotlib.rcParams["hatch.color"])
    look: dict[str, Any] = {"rasterized": True, "alpha": m.alpha if m.alpha < 1 else None, "linewidth": 0, "zorder": 1}
    if m.categories:
        count = len(m.categories)
        named = list(m.category_colours) or [panel.colour(k) for k in range(count)]
        ax.pcolormesh(x, y, values, cmap=ListedColormap(named), vmin=-0.5, vmax=count - 0.5, **look)
        for name, colour in zip(m.categories, named, strict=True):
            panel.explain(name, Patch(facecolor=colour, edgecolor="#888888", linewidth=0.4))
        return
    norm = colour_scale(m)
    shown = np.where(np.isnan(values), np.nan, np.clip(values, norm.vmin, norm.vmax))
    colours = DIVERGING if m.diverging else panel.colours or matplotlib.rcParams["image.cmap"]
    mesh = ax.pcolormesh(x, y, shown, cmap=colours, norm=norm, **look)
    if np.isfinite(values).any():
        _colour_bar(m, panel, mesh, norm)


def _colour_bar(m: Heat, panel: Panel, mesh: QuadMesh, norm: Normalize) -> None:
    """A slim bar as high as the chart; its ends are pointed where values lie beyond them."""
    values, ax = np.asarray(m.values, dtype=float), panel.ax
    beyond = bool((values < norm.vmin).any()), bool((values > norm.vmax).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    if ax.figure.get_layout_engine() is None:  # axes of the user's: they make room themselves
        bar = ax.figure.colorbar(mesh, ax=ax, extend=extend, fraction=0.05, pad=0.02)
    else:
        inset = ax.inset_axes((1, 0, 0.03, 1))
        inset.set_axes_locator(_beside(ax))
        bar = ax.figure.colorbar(mesh, cax=inset, extend=extend)
    height = page(ax)[1] * ax.get_position().height * 1.2
    bar.set_label(literal(clip(m.label, fits(height, matplotlib.rcParams["axes.labelsize"]), middle=True)))
    bar.outline.set_visible(False)


def _beside(ax: Axes) -> Callable[..., Bbox]:
    """A place right of the axes, as wide as a tick label is high, however large the axes will be."""

    def place(*_: Any) -> Bbox:
        box, (width, _height) = ax.get_position(), page(ax)
        em = float(matplotlib.rcParams["font.size"]) / width
        return Bbox.from_extents(box.x1 + 0.6 * em, box.y0, box.x1 + 1.5 * em, box.y1)

    return place


def colour_scale(m: Heat) -> Normalize:
    """From which value to which the colours run: its limits or the finite values, symmetric if diverging."""
    values = np.asarray(m.values, dtype=float)
    finite = values[np.isfinite(values) & (values > 0 if m.log else True)]
    lo, hi = m.limits or ((float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    if m.log and lo > 0 and hi > 0:
        return LogNorm(lo, hi if hi > lo else 10 * lo)
    if m.diverging:
        hi = max(abs(lo), abs(hi)) or 1.0
        return Normalize(-hi, hi)
    return Normalize(lo, hi if hi > lo else lo + (abs(lo) / 10 or 1.0))


def _picture(m: Picture, panel: Panel) -> None:
    panel.ax.imshow(np.clip(m.pixels, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    panel.ax.set_axis_off()


def _rule(m: Rule, panel: Panel) -> None:
    look: dict[str, Any] = {"color": {"cursor": "#333333", "bad": BAD}.get(m.role, "#888888")}
    if m.role == "cursor":
        look["linestyle"] = (0, (4, 2))
    thin = 0.7 * matplotlib.rcParams["lines.linewidth"]
    drawn = (panel.ax.axvline if m.axis == "x" else panel.ax.axhline)(m.at, linewidth=thin, zorder=1.9, **look)
    if m.axis == "y" or any(isinstance(other, Heat) for other in panel.chart.marks):  # words would hide cells
        panel.explain(m.label, drawn)
    else:
        _words_along(m, panel, look["color"])


def _words_along(m: Rule, panel: Panel, colour: str) -> None:
    """A rule's words along its upper end, on the side where no other rule's stand; said once, left out without room."""
    ax, size = panel.ax, float(matplotlib.rcParams["font.size"])
    (width, height), box = page(ax), ax.get_position()
    lo, hi = panel.chart.x.limits or ax.get_xlim()
    at = (m.at - lo) / (hi - lo) if hi > lo else 0.5
    line = 1.2 * size / (0.9 * box.width * width)
    for side, span in (("left", (at, at + line)), ("right", (at - line, at))):
        taken = any(start < span[1] and span[0] < end for start, end in panel.said.values())
        if not m.label or m.label in panel.said or taken or span[0] < 0 or span[1] > 1:
            continue
        panel.said[m.label] = span
        words = clip(m.label, min(RULE_WORDS, fits(0.9 * box.height * height, size)))
        ax.annotate(
            literal(words), xy=(m.at, 1), xycoords=("data", "axes fraction"), textcoords="offset fontsize",
            xytext=(0.2 if side == "left" else -0.2, -0.2), rotation=90, ha=side, va="top", color=colour, zorder=1.95,
            fontsize=matplotlib.rcParams["legend.fontsize"],
        )  # fmt: skip


def _box(m: Box, panel: Panel) -> None:
    ax = panel.ax
    colour = BAD if m.role == "bad" else "#555555"
    # the outline keeps a stretch of one step visible among a million
    look: dict[str, Any] = {"edgecolor": (colour, 0.6), "linewidth": 0.4 * matplotlib.rcParams["lines.linewidth"]}
    if any(isinstance(other, Heat) for other in panel.chart.marks):
        look |= {"fill": False, "linewidth": 0.8 * matplotlib.rcParams["lines.linewidth"]}  # cells keep their colours
    else:
        look["facecolor"] = (colour, 0.18)
    if m.y0 is None or m.y1 is None:
        drawn: Artist = ax.axvspan(m.x0, m.x1, zorder=1.5, **look)
    else:
        drawn = ax.add_patch(Rectangle((m.x0, m.y0), m.x1 - m.x0, m.y1 - m.y0, zorder=3, **look))
    panel.explain(m.label, drawn)


def _edges(m: Edges, panel: Panel) -> None:
    weight = np.asarray(m.weight, dtype=float)
    strength = np.abs(weight) / (np.nanmax(np.abs(weight), initial=0) or 1)
    segments = np.stack([np.stack([m.x0, m.y0], axis=-1), np.stack([m.x1, m.y1], axis=-1)], axis=1)
    colours = [panel.colour(0) if w >= 0 else panel.colour(1) for w in weight]
    widths = 2 * matplotlib.rcParams["lines.linewidth"] * np.nan_to_num(strength)
    drawn = panel.ax.add_collection(LineCollection(list(segments), linewidths=widths, colors=colours, alpha=0.7))
    panel.ax.autoscale_view()
    panel.explain(m.label, drawn)


def _text(m: Text, panel: Panel) -> None:
    panel.ax.text(m.x, m.y, literal(m.text), ha="center", va="center", fontsize=matplotlib.rcParams["legend.fontsize"])


def _table(m: Table, panel: Panel) -> None:
    """Columns of text between three rules, first column to the left and the others to the right."""
    ax = panel.ax
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    lines = table_lines(m)
    widths = [max(len(part) for line in lines for part in line[k]) + 2 for k in range(len(m.columns))]
    right = np.cumsum(widths) / sum(widths)
    points = page(ax)[0] / (0.6 * sum(widths))
    size = min(points, float(matplotlib.rcParams["font.size"]))
    tall = [max(map(len, line)) for line in lines]
    ends = 1 - np.cumsum(tall) / sum(tall)
    for line, height, end in zip(lines, tall, ends, strict=True):
        for k, cell in enumerate(line):
            where = {"x": 0.0, "ha": "left"} if k == 0 else {"x": float(right[k]), "ha": "right"}
            y, words = end + height / sum(tall) / 2, "\n".join(map(literal, cell))
            ax.text(y=y, s=words, va="center", fontsize=size, **where)  # type: ignore[arg-type]
    for y, width in ((1.0, 1.0), (float(ends[0]), 0.6), (0.0, 1.0)):
        ax.axhline(y, color="#333333", linewidth=width * matplotlib.rcParams["axes.linewidth"], clip_on=False)


_DRAW: Mapping[type, Callable[[Any, Panel], None]] = {
    Line: _line,
    Band: _band,
    Bars: _bars,
    Points: _points,
    Heat: _heat,
    Picture: _picture,
    Rule: _rule,
    Box: _box,
    Edges: _edges,
    Text: _text,
    Table: _table,
}
