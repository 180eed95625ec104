"""What is drawn, as plain data: a Chart is a title, two scales and marks; both painters draw the same one.

Nothing here knows a terminal or matplotlib. The marks are a closed set: a painter handles every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Limits = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """One axis of a chart: label, unit, whether it is logarithmic, limits (None: from the data), named ticks."""

    label: str = ""
    unit: str = ""
    log: bool = False
    limits: Limits | None = None
    names: tuple[str, ...] = ()  # categorical: name k stands at position k
    reverse: bool = False  # first name at the top
    signed_log: tuple[int, int] | None = None  # values over decades: see charting/signed_log.py
    parts: tuple[tuple[float, float, str], ...] = ()  # (from, to, name) of stretches, named instead of numbered


@dataclass(frozen=True, eq=False)
class Line:
    """y over x, both (point,); a NaN breaks the line. `faint` draws the raw line behind a smoothed one."""

    x: np.ndarray
    y: np.ndarray
    label: str = ""
    colour: int | None = None  # index into the qualitative palette; None: the next free one
    faint: bool = False
    dashed: bool = False
    steps: bool = False  # hold each value until the next


@dataclass(frozen=True, eq=False)
class Band:
    """The area between lo and hi over x, all (point,): an envelope that keeps spikes visible."""

    x: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    label: str = ""
    colour: int | None = None


@dataclass(frozen=True, eq=False)
class Bars:
    """Heights (bin,) between edges (bin + 1,)."""

    edges: np.ndarray
    heights: np.ndarray
    label: str = ""
    colour: int | None = None


@dataclass(frozen=True, eq=False)
class Points:
    """Dots at x, y, both (point,); `group` (point,) int colours them and indexes `group_names`."""

    x: np.ndarray
    y: np.ndarray
    label: str = ""
    colour: int | None = None
    group: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # read out under the cursor


@dataclass(frozen=True, eq=False)
class Heat:
    """Values (row, column), drawn as coloured cells; NaN cells stay visibly empty.

    Column edges `x` (column + 1,) and row edges `y` (row + 1,) are in data coordinates; None: 0, 1, 2, ... Categories
    turn integer values into named colours. `diverging` centres the colours at 0, `log` spaces them by factors.
    """

    values: np.ndarray
    x: np.ndarray | None = None
    y: np.ndarray | None = None
    label: str = ""  # of the colour bar
    limits: Limits | None = None
    log: bool = False
    diverging: bool = False
    categories: tuple[str, ...] = ()
    category_colours: tuple[str, ...] = ()  # "#rrggbb", one a category
    alpha: float = 1.0
    column_steps: np.ndarray | None = None  # (column,) int64: the step of each column, where x is time
    column_ends: np.ndarray | None = None  # (column,) int64: the last step that a column stands for, where not its own


@dataclass(frozen=True, eq=False)
class Picture:
    """An image (height, width) or (height, width, 3) with values in 0..1, shown with square pixels."""

    pixels: np.ndarray
    label: str = ""


@dataclass(frozen=True)
class Rule:
    """A straight line across the chart at x = at or y = at: the cursor, an epoch's end, a threshold."""

    at: float
    axis: str = "x"
    label: str = ""
    role: str = "note"  # "cursor", "note", "bad"


@dataclass(frozen=True)
class Box:
    """A rectangle around x0..x1, y0..y1; used for selections and for shaded stretches.

    `role` "bad": values were met that are not finite; "gap": nothing was measured there.
    """

    x0: float
    x1: float
    y0: float | None = None  # None: the whole height
    y1: float | None = None
    label: str = ""
    role: str = "note"


@dataclass(frozen=True, eq=False)
class Edges:
    """Straight segments from (x0, y0) to (x1, y1), all (edge,), with weights (edge,) as strength."""

    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray
    weight: np.ndarray
    label: str = ""


@dataclass(frozen=True)
class Text:
    """A few words at (x, y)."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under column names; a chart with a Table has no other marks."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    row: int | None = None  # where the cursor stands: marked, and shown where not all rows fit


Mark = Line | Band | Bars | Points | Heat | Picture | Rule | Box | Edges | Text | Table


@dataclass(frozen=True, eq=False)
class Chart:
    """One view: data only. The caption says what was measured on how much, at which step, with which options."""

    title: str
    x: Scale = field(default_factory=Scale)
    y: Scale = field(default_factory=Scale)
    marks: tuple[Mark, ...] = ()
    caption: str = ""

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Itself, so that every View has them."""
        return (self,)


@dataclass(frozen=True, eq=False)
class Plate:
    """Rows of charts on one sheet; `heights` are their relative heights."""

    rows: tuple[tuple[Chart, ...], ...]
    title: str = ""
    caption: str = ""
    heights: tuple[float, ...] = ()
    share_x: bool = False  # one scale along x for the charts of a column

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts, row by row."""
        return tuple(chart for row in self.rows for chart in row)


View = Chart | Plate


def plate(charts: Sequence[Chart], *, columns: int = 2, title: str = "", caption: str = "") -> Plate:
    """Several charts in rows of `columns`."""
    rows = tuple(tuple(charts[i : i + columns]) for i in range(0, len(charts), columns))
    return Plate(rows, title=title, caption=caption)
