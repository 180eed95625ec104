"""How does an image become cells? Square pixels: half a cell each, or a share of several; glyphs by brightness."""

from __future__ import annotations

import numpy as np

from recorder.chart import Picture
from tui.paint.look import Depth
from tui.paint.palette import channels, coarse, packed, rgb
from tui.paint.plot import Plot

_RAMP = " .:-=+*#%@"


def paint_picture(plot: Plot, mark: Picture) -> None:
    """Scale to fit, keep the proportions, centre in the plot; pixels that are not finite are shown as bad."""
    pixels = np.asarray(mark.pixels, dtype=float)
    if pixels.ndim == 2:
        pixels = pixels[..., None].repeat(3, axis=2)
    f = plot.field
    if not pixels.size or not f.height or not f.width:
        return
    halves = plot.look.blends and not plot.look.ascii
    scale = min(f.width / pixels.shape[1], 2 * f.height / pixels.shape[0])
    if scale >= 1:
        scale = np.floor(scale)  # every pixel the same number of cells
    columns = max(1, min(round(pixels.shape[1] * scale), f.width))
    rows = max(1, min(round(pixels.shape[0] * scale / 2), f.height))
    bad = ~np.isfinite(pixels).all(axis=2)
    clean = np.where(bad[..., None], 0.0, pixels).clip(0, 1)
    sampled = _area_mean(clean, rows * (2 if halves else 1), columns)
    spoiled = _area_mean(bad[..., None].astype(float), sampled.shape[0], columns)[..., 0] > 0
    top, left = f.top + (f.height - rows) // 2, f.left + (f.width - columns) // 2
    here = slice(top, top + rows), slice(left, left + columns)
    canvas = plot.canvas
    if not halves:
        brightness = sampled @ np.array([0.2126, 0.7152, 0.0722])
        table = np.array([ord(c) for c in _RAMP], dtype=np.uint32)
        canvas.glyph[here] = table[np.minimum((brightness * len(_RAMP)).astype(int), len(_RAMP) - 1)]
        canvas.glyph[here][spoiled] = ord("?")
        return
    colours = packed(sampled * 255)
    if plot.look.depth is Depth.PALETTE:
        c = np.rint(channels(colours) / 17).astype(int)
        colours = coarse()[c[..., 0] << 8 | c[..., 1] << 4 | c[..., 2]]
    colours = np.where(spoiled, rgb(plot.look.colours.bad), colours)
    upper, lower = colours[0::2], colours[1::2]
    canvas.glyph[here] = np.where(upper == lower, ord(" "), ord("▀"))
    canvas.fg[here] = np.where(upper == lower, lower, upper)
    canvas.bg[here] = lower


def _area_mean(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(rows, columns, channel): each cell is the mean of the image under it, by differences of running sums."""
    return _mean_along(_mean_along(pixels, rows, 0), columns, 1)


def _mean_along(pixels: np.ndarray, cells: int, axis: int) -> np.ndarray:
    size = pixels.shape[axis]
    moved = np.moveaxis(pixels, axis, 0)
    total = np.concatenate([np.zeros((1, *moved.shape[1:])), np.cumsum(moved, axis=0)])
    bounds = np.linspace(0, size, cells + 1)
    whole = np.minimum(bounds.astype(int), size - 1)
    at = total[whole] + (bounds - whole).reshape(-1, *[1] * (moved.ndim - 1)) * moved[whole]
    return np.moveaxis(np.diff(at, axis=0) * cells / size, 0, axis)
