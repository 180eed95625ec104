"""What may a mark do to its plot rectangle? Set dots, fill cells, write words: the brush that all marks share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui.paint.canvas import BRAILLE, Canvas
from tui.paint.field import Field
from tui.paint.look import Depth, Look
from tui.paint.palette import rgb
from tui.paint.raster import Grid, braille

PLAIN_DOTS = "*+ox#%@&"  # tells series apart where neither dots nor colours can


@dataclass(frozen=True)
class Plot:
    """One plot rectangle of a canvas."""

    canvas: Canvas
    field: Field
    plain: bool  # one glyph a series instead of braille dots

    @property
    def look(self) -> Look:
        return self.canvas.look

    @property
    def area(self) -> tuple[slice, slice]:
        """The rectangle as an index into the canvas' arrays."""
        f = self.field
        return slice(f.top, f.top + f.height), slice(f.left, f.left + f.width)

    @property
    def grid(self) -> Grid:
        """The dots to draw on."""
        return (
            Grid(self.field.width, self.field.height)
            if self.plain
            else Grid(self.field.width * 2, self.field.height * 4)
        )

    def series(self, k: int) -> str:
        """Colour k of the qualitative palette."""
        palette = self.look.colours.series
        return palette[k % len(palette)]

    def stamp(self, dots: np.ndarray, colour: int, *, glyph: str = "*", soft: bool = False) -> None:
        """Lay dots over what is there; braille dots join those below, but for `soft` ones, which they replace."""
        glyphs, fg, faint = (layer[self.area] for layer in (self.canvas.glyph, self.canvas.fg, self.canvas.soft))
        if self.plain:
            hit = dots
            glyphs[hit] = ord(glyph)
        else:
            bits = braille(dots)
            hit = bits > 0
            joins = (glyphs & ~np.uint32(0xFF) == BRAILLE) & (faint == soft)
            below = np.where(joins, glyphs & np.uint32(0xFF), np.uint32(0))
            glyphs[hit] = (BRAILLE | bits | below)[hit]
        fg[hit] = colour
        faint[hit] = soft

    def mark(self, columns: np.ndarray, row: int, glyph: str, colour: str) -> None:
        """The same glyph at some columns (cell,) bool of one row, 0 on top."""
        self.canvas.glyph[self.area][row][columns] = ord(glyph)
        self.canvas.fg[self.area][row][columns] = rgb(colour)

    def shade(self, columns: np.ndarray, rows: slice, role: str) -> None:
        """Tint a stretch: by background where there are colours enough, by a light glyph otherwise."""
        colours = self.look.colours
        colour = {"bad": colours.bad, "cursor": colours.accent}.get(role, colours.muted)
        glyphs = self.canvas.glyph[self.area][rows]
        if self.look.blends:
            self.canvas.bg[self.area][rows][:, columns] = self.canvas.tint(colour, 0.28 if role == "bad" else 0.16)
            return
        free = (glyphs == ord(" ")) & columns[None]
        glyphs[free] = ord("╱" if role == "bad" else "░")
        self.canvas.fg[self.area][rows][free] = rgb(colour)

    def say(self, words: str) -> None:
        """A sentence in the middle of the plot, on its own ground."""
        f = self.field
        text = words[: max(f.width - 2, 0)]
        if f.height < 1 or not text:
            return
        x, y = f.left + (f.width - len(text)) // 2, f.top + (f.height - 1) // 2
        self.canvas.write(x, y, text, self.look.colours.muted)


def plain_dots(look: Look, lines: int) -> bool:
    """Are single glyphs better than dots? Without braille, or without colours to tell several lines apart."""
    return look.ascii or (look.depth is Depth.NONE and lines > 1)
