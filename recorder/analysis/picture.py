"""How do the numbers that a model takes make a picture: where are its rows, columns and channels, what is black?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, prod

import numpy as np

COLOURS = (1, 3)  # channels of what is surely a picture
SMALLEST = 8  # pixels of the side of a square that may be one


@dataclass(frozen=True)
class Picture:
    """The form of one sample, and which of its numbers are black and white (one a channel, or one for all)."""

    height: int
    width: int
    channels: int = 1
    channels_first: bool = True
    black: tuple[float, ...] = (0.0,)
    white: tuple[float, ...] = (1.0,)

    def pictures(self, batch: np.ndarray) -> np.ndarray:
        """(sample, ...) as the model takes it -> (sample, height, width, channel), a view where that can be."""
        if self.channels_first:
            return np.moveaxis(batch.reshape(len(batch), self.channels, self.height, self.width), 1, -1)
        return batch.reshape(len(batch), self.height, self.width, self.channels)

    def numbers(self, pictures: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The inverse: samples of this shape, as the model takes them."""
        ordered = np.moveaxis(pictures, -1, 1) if self.channels_first else pictures
        return np.ascontiguousarray(ordered).reshape(len(pictures), *shape)

    def shown(self, batch: np.ndarray) -> np.ndarray:
        """(sample, ...) -> (sample, height, width[, 3]) float32 from 0 (black) to 1 (white), as one looks at them.

        Of pictures with neither one nor three channels the mean of the channels is shown.
        """
        black, white = np.asarray(self.black), np.asarray(self.white)
        light = np.clip((self.pictures(batch) - black) / np.where(white == black, 1.0, white - black), 0.0, 1.0)
        light = light if self.channels in COLOURS else light.mean(axis=-1, keepdims=True)
        return (light[..., 0] if light.shape[-1] == 1 else light).astype(np.float32)


def form(shape: Sequence[int], *, image: Sequence[int] = (), channels_last: bool = False) -> Picture | None:
    """The picture that a sample is: (channel, height, width), (height, width, channel) or (height, width).

    `image` = (height, width) says so where the shape alone does not: of a flat vector, or of a matrix that is not
    square. Where both ends may be the channels, `channels_last` decides. None where it is no picture.
    """
    if image:
        height, width = image
        channels, rest = divmod(prod(shape), height * width)
        if rest or not channels:
            return None
        if len(shape) == 3:
            return next((p for p in _of_three(shape, channels_last) if (p.height, p.width) == (height, width)), None)
        return Picture(height, width, channels, channels_first=not channels_last)
    if len(shape) == 3:
        return next(iter(_of_three(shape, channels_last)), None)
    if len(shape) == 2 and shape[0] == shape[1] >= SMALLEST:
        return Picture(shape[0], shape[1])
    return None


def square(samples: int) -> tuple[int, int] | None:
    """(height, width) of a flat vector with so many numbers, if it is that of a square."""
    side = isqrt(samples)
    return (side, side) if side * side == samples and side >= SMALLEST else None


def span(batch: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(black, white) in the numbers that the model takes.

    With `mean` and `std`, by which pictures were normalised, they are (0 - mean) / std and (1 - mean) / std, and 255 in
    the place of 1 where these speak of bytes. Otherwise 0 and 1, or 0 and 255, where the batch lies in between, and
    else its least and largest number.
    """
    if len(mean) or len(std):
        m, s = np.asarray(mean or (0.0,), float), np.asarray(std or (1.0,), float)
        full = 255.0 if max(m.max(), s.max()) > 2.0 else 1.0
        return tuple(((0.0 - m) / s).tolist()), tuple(((full - m) / s).tolist())
    if batch.dtype == np.uint8:
        return (0.0,), (255.0,)
    finite = batch[np.isfinite(batch)] if batch.dtype.kind == "f" else batch
    lo, hi = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if lo >= 0.0 and hi <= 1.0:
        return (0.0,), (1.0,)
    if lo >= 0.0 and 2.0 < hi <= 255.0:
        return (0.0,), (255.0,)
    return (lo,), (hi,)


def _of_three(shape: Sequence[int], channels_last: bool) -> list[Picture]:
    """What three dimensions may be, the likeliest first."""
    a, b, c = shape
    first, last = Picture(b, c, a, channels_first=True), Picture(a, b, c, channels_first=False)
    both = [last, first] if channels_last else [first, last]
    return [p for p in both if p.channels in COLOURS] + [p for p in both if p.channels in (2, 4)]
