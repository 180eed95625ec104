"""How do rows of words line up? Columns as wide as their widest cell, numbers to the right, clipped to the plot."""

from __future__ import annotations

from recorder.chart import Table
from tui.paint.canvas import BOLD, printable
from tui.paint.plot import Plot
from tui.words import clip

GAP = 2


def widths(table: Table, room: int) -> list[int]:
    """The width of each column: as its widest cell asks; too much in total is taken from the widest."""
    cells = [table.columns, *table.rows]
    wanted = [max((len(row[k]) for row in cells if k < len(row)), default=0) for k in range(len(table.columns))]
    while wanted and sum(wanted) + GAP * (len(wanted) - 1) > room and max(wanted) > 3:
        wanted[wanted.index(max(wanted))] -= 1
    return wanted


def paint_table(plot: Plot, mark: Table) -> None:
    """Header, rows, and how many did not fit."""
    f = plot.field
    table = Table(tuple(map(printable, mark.columns)), tuple(tuple(map(printable, row)) for row in mark.rows))
    columns = widths(table, f.width)
    right = [_numeric([row[k] for row in table.rows if k < len(row)]) for k in range(len(columns))]
    lines = [table.columns, *table.rows]
    rows = slice(0, len(table.rows))
    if len(lines) > f.height:
        rows = _around(mark.row or 0, len(table.rows), max(f.height - 2, 0))
    shown = [table.columns, *table.rows[rows]]
    for y, line in enumerate(shown[: f.height]):
        chosen = y > 0 and mark.row == rows.start + y - 1
        x = f.left
        for k, width in enumerate(columns):
            text = clip(line[k] if k < len(line) else "", width)
            text = text.rjust(width) if right[k] else text
            colour = plot.look.colours.muted if y == 0 else plot.look.colours.foreground
            if x < f.left + f.width:
                plot.canvas.write(
                    x, f.top + y, text, colour, width=f.left + f.width - x, attributes=BOLD if y == 0 or chosen else 0
                )
            x += width + GAP
    if len(shown) < len(lines) and f.height > 1:
        words = f"{len(lines) - len(shown)} more of {len(table.rows)} rows"
        if mark.row is not None:
            words = f"rows {rows.start + 1} to {rows.stop} of {len(table.rows)}"
        plot.canvas.write(f.left, f.top + f.height - 1, words, plot.look.colours.muted, width=f.width)


def _around(row: int, rows: int, room: int) -> slice:
    """As many rows as there is room for, with that row in their middle where it can be."""
    first = max(min(row - room // 2, rows - room), 0)
    return slice(first, min(first + room, rows))


def _numeric(cells: list[str]) -> bool:
    filled = [cell.strip().rstrip("%kMGx") for cell in cells if cell.strip() not in ("", "-", "–")]
    return bool(filled) and all(_is_number(cell.replace(",", "")) for cell in filled)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
