"""Where do glyphs and colours land before they become strips? On a grid of cells, as numpy arrays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.paint.look import Depth, Look
from tui.paint.palette import colour_code, rgb, tinted
from tui.words import clip, plain

BOLD, DIM, REVERSE = 1, 2, 4
SECOND = "\u200b"  # in the second cell of a wide character: of no width itself, and never sent
BRAILLE = 0x2800
# Braille is numbered column by column, its lowest row last: the bit of the dot in row r (0 on top), column c.
DOT_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)
ASCII = str.maketrans(
    {
        **dict.fromkeys("─━╌–—", "-"), **dict.fromkeys("┤├┬┴┼└┘┌┐", "+"), "│": "|", "╱": "/", "●": "o", "▲": "^",
        "▼": "v", "■": "#", "█": "#", "▓": "=", "▒": ":", "░": ".", "•": "*", "·": ".", "…": "~", "×": "x", "∞": "8",
        "≤": "<", "≥": ">", "◆": "X", "□": "?",
    }
)  # fmt: skip


class Canvas:
    """width x height cells, each a glyph, two colours (0xrrggbb; -1: the terminal's own) and attributes."""

    def __init__(self, width: int, height: int, look: Look) -> None:
        self.width, self.height, self.look = width, height, look
        self.ground = rgb(look.colours.background)
        self.glyph = np.full((height, width), ord(" "), dtype=np.uint32)
        self.fg = np.full((height, width), rgb(look.colours.foreground), dtype=np.int32)
        self.bg = np.full((height, width), self.ground, dtype=np.int32)
        self.attributes = np.zeros((height, width), dtype=np.uint8)
        self.soft = np.zeros((height, width), dtype=bool)  # dots of something faint, which stronger dots replace

    def write(self, x: int, y: int, text: str, colour: str, *, width: int | None = None, attributes: int = 0) -> int:
        """Put plain text at a cell, clipped with "…" to `width` and to the canvas; returns the cells used."""
        room = self.width - x if width is None else min(width, self.width - x)
        if not 0 <= y < self.height or x < 0 or room <= 0:
            return 0
        codes = np.array([ord(c) for c in clip(printable(text), room)][:room], dtype=np.uint32)
        here = slice(x, x + len(codes))
        self.glyph[y, here] = codes
        self.fg[y, here] = rgb(colour)
        self.attributes[y, here] = attributes
        return len(codes)

    def strips(self) -> list[Strip]:
        """One strip a row; neighbouring cells that look the same share a segment."""
        glyph = self.glyph
        glyph = in_ascii(glyph) if self.look.ascii else paired(glyph)
        code = colour_code(np.stack([self.fg, self.bg]), self.look.depth)
        ink, attributes = self._inherited(code[0], code[1])
        key = (ink.astype(np.int64) + 1 << 36) | (code[1].astype(np.int64) + 1 << 8) | attributes
        starts = np.ones(key.shape, dtype=bool)
        starts[:, 1:] = key[:, 1:] != key[:, :-1]
        text = np.ascontiguousarray(glyph).view(f"<U{max(self.width, 1)}").ravel().tolist()
        strips = []
        for y in range(self.height):
            line = text[y].ljust(self.width)
            cuts = np.flatnonzero(starts[y]).tolist()
            styles = key[y, cuts].tolist()
            ends = [*cuts[1:], self.width]
            strips.append(
                Strip(
                    [
                        Segment(line[a:b].replace(SECOND, ""), style(k, self.look.depth))
                        for a, b, k in zip(cuts, ends, styles, strict=True)
                    ],
                    self.width,
                )
            )
        return strips

    def _inherited(self, ink: np.ndarray, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blanks show no ink: they take over what is left of them on the same ground, which saves bytes."""
        blank = (self.glyph == ord(" ")) & (self.attributes & REVERSE == 0)
        starts = ~blank
        starts[:, 1:] |= (ground[:, 1:] != ground[:, :-1]) | (self.attributes[:, :-1] & REVERSE > 0)
        starts[:, :1] = True
        source = np.maximum.accumulate(np.where(starts, np.arange(self.width), 0), axis=1)
        bare = np.where(blank, -1, ink), np.where(blank, np.uint8(0), self.attributes)
        return np.take_along_axis(bare[0], source, axis=1), np.take_along_axis(bare[1], source, axis=1)

    def tint(self, colour: str, strength: float) -> int:
        """A colour mixed into the background, for shading."""
        return tinted(self.ground, rgb(colour), strength, self.look.depth)


@lru_cache(maxsize=8192)
def style(key: int, depth: Depth) -> Style:
    """The Style of a packed (foreground, background, attributes); always one, since Segments without one crash."""
    attributes = key & 0xFF
    return Style(
        color=rich_colour((key >> 36) - 1, depth),
        bgcolor=rich_colour((key >> 8 & 0xFFFFFFF) - 1, depth),
        bold=bool(attributes & BOLD) or None,
        dim=bool(attributes & DIM) or None,
        reverse=bool(attributes & REVERSE) or None,
    )


def rich_colour(code: int, depth: Depth) -> Color | None:
    """A colour as the terminal is told it; None leaves the terminal's own."""
    if code < 0 or depth is Depth.NONE:
        return None
    if depth is Depth.TRUE:
        return Color.from_rgb(code >> 16, code >> 8 & 0xFF, code & 0xFF)
    return Color.from_ansi(code)


def in_ascii(glyph: np.ndarray) -> np.ndarray:
    """The nearest ASCII glyphs."""
    flat = "".join(map(chr, glyph.ravel().tolist())).translate(ASCII)
    return np.array([ord(c) if c.isascii() else ord("?") for c in flat], dtype=np.uint32).reshape(glyph.shape)


def printable(text: str) -> str:
    """Text from a file with a character for each of its cells: nothing that controls, nothing without width."""
    if text.isascii() and text.isprintable():
        return text
    cells = ((c, cell_len(c)) for c in plain(text))
    return "".join(c + SECOND * (width - 1) for c, width in cells if width > 0)


def paired(glyph: np.ndarray) -> np.ndarray:
    """Glyphs (row, column) in which each wide character has both of its cells; of one that was cut a box is left."""
    codes = np.unique(glyph)
    wide_ones = [code for code in codes[codes > 0xFF].tolist() if cell_len(chr(code)) == 2]
    if not wide_ones and ord(SECOND) not in codes:
        return glyph
    wide, second = np.isin(glyph, wide_ones), glyph == ord(SECOND)
    whole = np.zeros(glyph.shape, dtype=bool)
    whole[:, :-1] = wide[:, :-1] & second[:, 1:]
    behind = np.zeros(glyph.shape, dtype=bool)
    behind[:, 1:] = whole[:, :-1]
    return np.where(wide & ~whole, ord("□"), np.where(second & ~behind, ord(" "), glyph)).astype(glyph.dtype)
