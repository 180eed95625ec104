"""Which colour, or which glyph where colours are few, does each cell of a heat map get?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recorder.chart import Heat
from tui.paint.heat import Shades, shades
from tui.paint.look import Depth, Look
from tui.paint.palette import DIVERGING, channels, levels, packed, rgb
from tui.paint.plot import Plot

HATCH = "╱"
MISSING = -2
# Of 27 bytes each, or 37 in true colour. Where a frame, often sent over SSH, has more of them, its colours are first
# rounded to fewer than an eye tells apart; where that is not enough, as for noise, the two values of a cell become one.
MOST_CHANGES = 2000
FEWER = (65, 33)  # odd: the middle of a diverging map stays its own colour
_RAMP, _ASCII_RAMP, _SIGNED = "·░▒▓█", ".:-=+*#%@", "=-·+#"


def paint_heat(plot: Plot, mark: Heat) -> None:
    """Half-blocks in two colours a cell, or one glyph a cell."""
    f, look = plot.field, plot.look
    if not look.blends or look.ascii:
        _glyphs(plot, mark, shades(mark, f.x, f.y, rows=f.height, normalise=look.normalise))
        return
    shown = shades(mark, f.x, f.y, rows=2 * f.height, normalise=look.normalise)
    colours = _colours(plot, mark, shown)
    rounds = FEWER if look.depth is Depth.TRUE and not mark.categories else ()
    for steps in rounds:
        if _changes(colours) > MOST_CHANGES:
            colours = _colours(plot, mark, _rounded(shown, steps))
    if _changes(colours) > MOST_CHANGES:
        shown = shades(mark, f.x, f.y, rows=f.height, normalise=look.normalise)
        shown = _rounded(shown, rounds[-1]) if rounds else shown
        colours = _colours(plot, mark, shown).repeat(2, axis=0)
    _half_blocks(plot, colours)


def _rounded(shown: Shades, steps: int) -> Shades:
    return replace(shown, value=np.rint(shown.value * (steps - 1)) / (steps - 1))


def _colours(plot: Plot, mark: Heat, shown: Shades) -> np.ndarray:
    """0xrrggbb of each shade, MISSING where there is no value at all."""
    colours = shade_colours(mark, shown.value, plot.look, plot.canvas.ground)
    colours = np.where(shown.hides, rgb(plot.look.colours.muted), colours)
    return np.where(np.isnan(shown.value), MISSING, colours)


def _changes(colours: np.ndarray) -> int:
    """How often a row of cells changes its pair of colours: each change is an escape sequence."""
    upper, lower = colours[0::2], colours[1::2]
    return int(((upper[:, 1:] != upper[:, :-1]) | (lower[:, 1:] != lower[:, :-1])).sum())


def _half_blocks(plot: Plot, colours: np.ndarray) -> None:
    missing = colours == MISSING
    colours = np.where(missing, plot.canvas.tint(plot.look.colours.muted, 0.35), colours)
    upper, lower = colours[0::2], colours[1::2]
    same = upper == lower
    glyph, fg, bg = (layer[plot.area] for layer in (plot.canvas.glyph, plot.canvas.fg, plot.canvas.bg))
    glyph[...] = np.where(same, ord(" "), ord("▀"))
    fg[...] = np.where(same, lower, upper)
    bg[...] = lower
    hatched = missing[0::2] & missing[1::2]
    glyph[hatched] = ord(HATCH)
    fg[hatched] = plot.canvas.tint(plot.look.colours.muted, 0.75)
    bg[hatched] = plot.canvas.ground


def shade_colours(mark: Heat, value: np.ndarray, look: Look, ground: int) -> np.ndarray:
    """Shares of the colour scale (or category numbers) as 0xrrggbb; nothing there is the ground."""
    if mark.categories:
        table = np.array([rgb(c) for c in category_colours(mark, look)], dtype=np.int32)
        index = np.nan_to_num(value, nan=0.0).astype(int) % len(table)
    else:
        table = levels(DIVERGING if mark.diverging else look.colour_map, look.depth)
        index = np.rint(np.nan_to_num(value, nan=0.0).clip(0, 1) * (len(table) - 1)).astype(int)
    colours = table[index]
    if mark.alpha < 1 and ground >= 0:
        colours = packed(mark.alpha * channels(colours) + (1 - mark.alpha) * channels(ground))
    return np.where(value < 0, ground, colours)


def category_colours(mark: Heat, look: Look) -> tuple[str, ...]:
    """The mark's own colours where they can be shown, the qualitative palette otherwise."""
    own = mark.category_colours if look.depth is not Depth.NONE else ()
    series = look.colours.series
    return tuple(own[k] if k < len(own) else series[k % len(series)] for k in range(len(mark.categories)))


def ramp(mark: Heat, look: Look) -> str:
    """The glyphs from low to high, one a category or a share of the scale."""
    if mark.categories:
        return ("·+#*o%@=&" * (len(mark.categories) // 9 + 1))[: len(mark.categories)]
    if mark.diverging:
        return _SIGNED
    return _ASCII_RAMP if look.ascii else _RAMP


def _glyphs(plot: Plot, mark: Heat, shown: Shades) -> None:
    look = plot.look
    table = np.array([ord(c) for c in ramp(mark, look)], dtype=np.uint32)
    value = np.nan_to_num(shown.value, nan=0.0)
    if mark.categories:
        index = value.clip(0).astype(int) % len(table)
    else:
        index = np.minimum((value.clip(0, 1) * len(table)).astype(int), len(table) - 1)
    missing = np.isnan(shown.value)
    glyph, fg = plot.canvas.glyph[plot.area], plot.canvas.fg[plot.area]
    glyph[...] = np.where(shown.value < 0, ord(" "), table[index])
    glyph[missing | shown.hides] = ord("?" if look.ascii else HATCH)
    if look.depth is not Depth.NONE:
        fg[...] = rgb(look.colours.foreground)
        if mark.categories:
            fg[...] = np.array([rgb(c) for c in category_colours(mark, look)], dtype=np.int32)[index]
        elif mark.diverging:
            cold, warm = rgb("#5555ff"), rgb("#ff5555")
            fg[...] = np.where(index < 2, cold, np.where(index > 2, warm, fg))
        fg[missing | shown.hides] = rgb(look.colours.muted)
