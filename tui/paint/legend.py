"""What do the colours mean? A line of swatches, a colour bar, and how many values could not be drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recorder.chart import Band, Bars, Box, Chart, Edges, Heat, Line, Mark, Points, Rule
from tui.paint.canvas import Canvas, printable
from tui.paint.field import Field
from tui.paint.heat import limits
from tui.paint.heatmap import category_colours, ramp, shade_colours
from tui.paint.look import Look
from tui.paint.marks import RULE_WORDS, groups
from tui.paint.missing import undrawable
from tui.paint.palette import rgb
from tui.paint.plot import PLAIN_DOTS
from tui.paint.ticks import number
from tui.words import clip

_BAR = 16  # cells of a colour bar
TIMES = ("step", "epoch", "time")


@dataclass(frozen=True)
class Entry:
    """A swatch, one glyph a colour, and its words."""

    swatch: str
    colours: tuple[int, ...]
    text: str
    strong: bool = False  # the words take the colour too

    @property
    def width(self) -> int:
        return len(self.swatch) + (1 if self.swatch and self.text else 0) + len(self.text)


def palette_places(chart: Chart) -> list[int]:
    """The palette place of each mark: its own, or the next free one; marks without a series colour get 0."""
    taken = {
        mark.colour for mark in chart.marks if isinstance(mark, Line | Band | Bars | Points) and mark.colour is not None
    }
    free = (k for k in range(10**6) if k not in taken)
    places, by_label = [], dict[str, int]()
    for mark in chart.marks:
        if not isinstance(mark, Line | Band | Bars | Points):
            places.append(0)
        elif mark.colour is not None:
            places.append(mark.colour)
        elif mark.label and mark.label in by_label:  # a line and its band, raw and smoothed: one series, one colour
            places.append(by_label[mark.label])
        else:
            places.append(next(free))
        if isinstance(mark, Line | Band | Bars | Points) and mark.label:
            by_label.setdefault(mark.label, places[-1])
    return places


def crowded(chart: Chart, field: Field, look: Look) -> bool:
    """Does a cell of the map show the strongest of several units, samples or layers, on an axis that is not time?"""
    heat = next((mark for mark in chart.marks if isinstance(mark, Heat)), None)
    if heat is None or heat.categories or heat.column_steps is not None or chart.x.label in TIMES:
        return False
    rows, columns = heat.values.shape
    return columns > field.width or rows > field.height * (2 if look.blends and not look.ascii else 1)


def entries(chart: Chart, look: Look, *, plain: bool, ground: int, crowded: bool = False) -> list[Entry]:
    """The legend of a chart; one unnamed series needs none. `crowded`: cells of its map show one of several values."""
    found: list[Entry] = []
    lines = {mark.label for mark in chart.marks if isinstance(mark, Line)}
    for mark, place in zip(chart.marks, palette_places(chart), strict=True):
        if isinstance(mark, Band) and mark.label in lines:
            continue  # the line that it surrounds speaks for it
        found += [e for e in _of_mark(mark, place, look, plain=plain, ground=ground) if e not in found]
    if any(isinstance(mark, Heat) for mark in chart.marks):  # words beside a rule would hide cells
        found += [_of_rule(mark, look) for mark in chart.marks if isinstance(mark, Rule) and mark.label]
    said = (printable(chart.title), printable(chart.title).partition(",")[0], printable(chart.y.label))
    swatches = [entry for entry in found if 0 < len(entry.swatch) <= 2]
    if len(swatches) == 1 and swatches[0].text in said:
        found.remove(swatches[0])  # one series, named by the title
    found = [replace(entry, text="") if len(entry.swatch) > 2 and entry.text in said else entry for entry in found]
    if crowded:
        which = "strongest" if any(isinstance(mark, Heat) and mark.diverging for mark in chart.marks) else "largest"
        which += " of each cell"
        found = [replace(e, text=", ".join(filter(None, [e.text, which]))) if len(e.swatch) > 2 else e for e in found]
    counted = " · ".join(f"{n} × {what}" for what, n in undrawable(chart).items())
    wrong = "∞" in counted or any(isinstance(mark, Box) and mark.role == "bad" for mark in chart.marks)
    return found + ([Entry("", (), counted, strong=wrong)] if counted else [])


def _of_mark(mark: Mark, place: int, look: Look, *, plain: bool, ground: int) -> list[Entry]:
    series = look.colours.series
    ink = rgb(series[place % len(series)])
    match mark:
        case Line(label=str(label)) if label and not mark.faint:
            glyphs = PLAIN_DOTS[place % 8] * 2 if plain else "╌╌" if mark.dashed else "━━"
            return [Entry(glyphs, (ink, ink), printable(label))]
        case Band(label=str(label)) | Bars(label=str(label)) if label:
            glyphs = "::" if isinstance(mark, Band) and plain else "▒▒" if isinstance(mark, Band) else "██"
            return [Entry(glyphs, (ink, ink), printable(label))]
        case Points() if mark.group is not None:
            dots = [(rgb(series[k % len(series)]), k) for k, _ in groups(mark, place)]
            return [Entry(PLAIN_DOTS[k % 8] if plain else "●", (c,), _group_name(mark, k)) for c, k in dots]
        case Points(label=str(label)) if label:
            return [Entry(PLAIN_DOTS[place % 8] if plain else "●", (ink,), printable(label))]
        case Heat() if mark.categories:
            colours = category_colours(mark, look)
            glyphs = "█" * len(colours) if look.blends and not look.ascii else ramp(mark, look)
            swatches = zip(glyphs, colours, mark.categories, strict=True)
            return [Entry(glyph, (rgb(colour),), printable(name)) for glyph, colour, name in swatches]
        case Heat() if mark.values.size:
            return [_colour_bar(mark, look, ground)]
        case Box(label=str(label), role="bad" | "gap" as role) if label:
            return [Entry("", (), printable(label), strong=role == "bad")]
        case Edges(label=str(label)) if label:
            return [Entry("──", (rgb(look.colours.foreground),) * 2, printable(label))]
    return []


def _of_rule(mark: Rule, look: Look) -> Entry:
    colour = look.colours.bad if mark.role == "bad" else look.colours.muted
    return Entry("│" if mark.axis == "x" else "─", (rgb(colour),), clip(printable(mark.label), RULE_WORDS))


def _group_name(mark: Points, k: int) -> str:
    return printable(mark.group_names[k]) if k < len(mark.group_names) else f"{k}"


def _colour_bar(mark: Heat, look: Look, ground: int) -> Entry:
    """`low ████ high unit` as one entry; the ends say how far the scale reaches."""
    low, high = (number(end) for end in limits(mark))
    if look.normalise != "global":
        low, high = f"{look.normalise} min", f"{look.normalise} max"
    if look.blends and not look.ascii:
        glyphs = "█" * _BAR
        colours = shade_colours(mark, np.linspace(0, 1, _BAR)[None], look, ground)[0].tolist()
    else:
        glyphs = "".join(glyph * 2 for glyph in ramp(mark, look))
        colours = [rgb(look.colours.foreground)] * len(glyphs)
    muted = rgb(look.colours.muted)
    swatch = f"{low} {glyphs} {high}"
    inks = (muted,) * (len(low) + 1) + tuple(int(c) for c in colours) + (muted,) * (len(high) + 1)
    return Entry(swatch, inks, printable(mark.label))


def write(canvas: Canvas, x: int, y: int, found: list[Entry], width: int) -> None:
    """Write entries side by side; those that do not fit are counted."""
    colours = canvas.look.colours
    end = x + width
    for k, entry in enumerate(found):
        more = f"+{len(found) - k} more"
        room = end - x if total_width(found[k:]) <= end - x else end - x - len(more) - 2
        if entry.width > room and k > 0:
            canvas.write(x, y, more, colours.muted, width=end - x)
            return
        for glyph, colour in zip(entry.swatch, entry.colours, strict=True):
            x += canvas.write(x, y, glyph, f"#{colour:06x}" if colour >= 0 else "", width=end - x)
        x += 1 if entry.swatch and entry.text else 0
        canvas.write(x, y, entry.text, colours.bad if entry.strong else colours.muted, width=end - x)
        x += len(entry.text) + 2


def total_width(found: list[Entry]) -> int:
    """Cells that all entries take side by side."""
    return sum(entry.width for entry in found) + 2 * max(len(found) - 1, 0)
