"""Which colours stand for values? Colour maps as tables of levels, and every colour in the depth it is shown in.

In 256 colours a map keeps only what is distinct there, so that a step in colour is always a step in value. Codes are
taken from those that the terminal library maps to themselves, so what is chosen here is what arrives.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from rich.color import Color, ColorSystem

from tui.paint.look import Depth

# Seventeen stops of matplotlib's tables; straight lines between them stay within 11/255 of the tables.
_STOPS = {
    "viridis": "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b "
    "addc30 d8e219 fde725",
    "cividis": "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 "
    "dec958 f0d846 fee838",
    "magma": "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 "
    "fec488 fde2a3 fcfdbf",
    "diverging": "1d4f91 2f74b5 5b9bd0 97c3e3 cfe1ef f7f7f7 fbd9c6 f3a582 dd6f59 c03a41 94152e",
}
DIVERGING = "diverging"
_ANSI = (
    0x000000, 0xAA0000, 0x00AA00, 0xAA5500, 0x0000AA, 0xAA00AA, 0x00AAAA, 0xAAAAAA,
    0x555555, 0xFF5555, 0x55FF55, 0xFFFF55, 0x5555FF, 0xFF55FF, 0x55FFFF, 0xFFFFFF,
)  # fmt: skip


def rgb(colour: str) -> int:
    """The number 0xrrggbb of "#rrggbb"; "" is -1, the terminal's own colour."""
    return int(colour[1:], 16) if colour else -1


def channels(colour: np.ndarray | int) -> np.ndarray:
    """0xrrggbb as (..., 3) floats in 0..255."""
    code = np.asarray(colour, dtype=np.int64)
    return np.stack([code >> 16 & 255, code >> 8 & 255, code & 255], axis=-1).astype(float)


def packed(rgb_channels: np.ndarray) -> np.ndarray:
    """(..., 3) in 0..255 as 0xrrggbb."""
    c = np.clip(np.rint(rgb_channels), 0, 255).astype(np.int32)
    return c[..., 0] << 16 | c[..., 1] << 8 | c[..., 2]


def blend(below: int, above: int, strength: float) -> int:
    """`above` over `below`; where one is the terminal's own colour there is nothing to mix."""
    if below < 0 or above < 0:
        return above
    return int(packed((1 - strength) * channels(below) + strength * channels(above)))


@lru_cache(maxsize=1024)
@lru_cache(maxsize=1024)
def tinted(ground: int, colour: int, strength: float, depth: Depth) -> int:
    """A colour mixed into the ground for shading. In 256 colours its hue is kept: most dark ones there are grey."""
    mixed = blend(ground, colour, strength)
    if depth is not Depth.PALETTE or mixed < 0 or np.ptp(channels(colour)) < 64:
        return mixed
    coloured = _XTERM_RGB[np.ptp(channels(_XTERM_RGB), axis=-1) >= 40]
    distance = ((_oklab(channels(coloured)) - _oklab(channels(mixed))) ** 2).sum(axis=-1)
    return int(coloured[distance.argmin()])


@lru_cache(maxsize=32)
def levels(colour_map: str, depth: Depth) -> np.ndarray:
    """The colours of a map from low to high, 0xrrggbb: 256 of them, or those that are distinct in 256 colours."""
    stops = channels(np.array([int(stop, 16) for stop in _STOPS[colour_map].split()]))
    at = np.linspace(0, len(stops) - 1, 256 if colour_map != DIVERGING else 255)
    smooth = packed(np.stack([np.interp(at, np.arange(len(stops)), stops[:, k]) for k in range(3)], axis=-1))
    if depth is not Depth.PALETTE:
        return smooth
    if colour_map != DIVERGING:
        return _distinct(smooth)
    low = _distinct(smooth[:128])  # both halves end in the neutral colour and get as many levels
    high = _distinct(smooth[127:][::-1])
    n = min(len(low), len(high))
    return np.concatenate([_thin(low, n), _thin(high, n)[-2::-1]])


def _distinct(colours: np.ndarray) -> np.ndarray:
    shown = _XTERM_RGB[nearest(colours, Depth.PALETTE) - 16]
    shown = shown[np.sort(np.unique(shown, return_index=True)[1])]
    lightness = _oklab(channels(shown))[:, 0]
    rises = lightness > np.concatenate([[-1.0], np.maximum.accumulate(lightness)[:-1]])
    return shown[rises]  # a map that darkens on its way up would lie


def _thin(colours: np.ndarray, n: int) -> np.ndarray:
    return colours[np.linspace(0, len(colours) - 1, n).round().astype(int)]


def colour_code(colour: np.ndarray, depth: Depth) -> np.ndarray:
    """0xrrggbb as what the terminal is told: itself, or the number of the nearest colour it has; -1 stays."""
    if depth is Depth.TRUE:
        return colour
    if depth is Depth.NONE:
        return np.full(colour.shape, -1, dtype=np.int32)
    unique, inverse = np.unique(colour, return_inverse=True)
    codes = np.array([_code(int(c), depth) for c in unique], dtype=np.int32)
    return codes[inverse].reshape(colour.shape)


@lru_cache(maxsize=65536)
def _code(colour: int, depth: Depth) -> int:
    return -1 if colour < 0 else int(nearest(np.array([colour]), depth)[0])


def nearest(colours: np.ndarray, depth: Depth) -> np.ndarray:
    """The number of the perceptually nearest colour, (colour,) -> (colour,)."""
    numbers, lab = _candidates(depth)
    wanted = _oklab(channels(colours))
    distance = ((wanted[:, None, :] - lab[None]) ** 2).sum(axis=-1)
    return numbers[distance.argmin(axis=1)]


@lru_cache(maxsize=1)
def coarse() -> np.ndarray:
    """(4096,) 0xrrggbb: for pictures in 256 colours, what stands for each colour of 4 bits a channel."""
    index = np.arange(4096)
    colours = (index >> 8) * 17 << 16 | (index >> 4 & 15) * 17 << 8 | (index & 15) * 17
    return _XTERM_RGB[nearest(colours, Depth.PALETTE) - 16]


def _oklab(rgb_channels: np.ndarray) -> np.ndarray:
    # Bjorn Ottosson's space: Euclidean distance there is close to what an eye calls different.
    c = rgb_channels / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
    to_lab = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return np.cbrt(linear @ to_lms.T) @ to_lab.T


@lru_cache(maxsize=2)
def _candidates(depth: Depth) -> tuple[np.ndarray, np.ndarray]:
    if depth is Depth.ANSI:
        numbers = np.arange(16)
        return numbers, _oklab(channels(np.array(_ANSI)))
    stable = [
        i for i in range(16, 256)
        if Color.from_triplet(Color.from_ansi(i).get_truecolor()).downgrade(ColorSystem.EIGHT_BIT).number == i
    ]  # fmt: skip
    numbers = np.array(stable)
    return numbers, _oklab(channels(_XTERM_RGB[numbers - 16]))


_XTERM_RGB = np.array([int(Color.from_ansi(i).get_truecolor().hex[1:], 16) for i in range(16, 256)], dtype=np.int32)
