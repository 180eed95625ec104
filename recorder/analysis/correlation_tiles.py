"""How is the product of all units of all layers computed without ever having the whole of it?

    r = z'z        z (sample, unit of all layers)

Tile by tile, at and above the diagonal, each tile cut into its parts of pairs of layers. That is as fast as one product
of everything, and whatever is done with a part finds it in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

TILE = 1024  # units on each side: 4 MB, which the third-level cache keeps


class Part(NamedTuple):
    """Of the correlations of two layers those that are in one tile."""

    pair: tuple[int, int]  # the two layers
    tile: np.ndarray  # in C order, there until the next tile
    rows: tuple[int, int]  # of the tile, begin and end
    columns: tuple[int, int]
    at: tuple[int, int]  # where they begin in all of the pair's
    triangle: bool  # only the upper triangle is there


def parts(z: np.ndarray, bounds: Sequence[int]) -> Iterator[Part]:
    """The product of z (sample, unit of all layers), in C order, with itself.

    `bounds` are where each layer begins, and the end.
    """
    for top, left, tile in _tiles(z):
        for i, rows, row in _cut(bounds, top, tile.shape[0]):
            for j, columns, column in _cut(bounds, left, tile.shape[1]):
                if i <= j:
                    yield Part((i, j), tile, rows, columns, (row, column), i == j and top == left)


def _tiles(z: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first row, first column, tile); of those on the diagonal only the upper triangle is filled."""
    from scipy.linalg.blas import get_blas_funcs  # late: who only looks at a run has no need of it

    units = z.shape[1]
    room = np.empty(min(TILE, units) ** 2, z.dtype)
    syrk = get_blas_funcs("syrk", dtype=z.dtype)
    for top in range(0, units, TILE):
        rows = np.ascontiguousarray(z[:, top : top + TILE])
        height = rows.shape[1]
        square = room[: height**2].reshape(height, height)
        if len(z):
            syrk(1.0, rows.T, beta=0.0, c=square.T, lower=1, overwrite_c=1)  # its columns are our rows
        else:
            square.fill(0)
        yield top, top, square
        for left in range(top + TILE, units, TILE):
            columns = z[:, left : left + TILE]
            width = columns.shape[1]
            yield top, left, np.matmul(rows.T, columns, out=room[: height * width].reshape(height, width))


def _cut(bounds: Sequence[int], first: int, size: int) -> Iterator[tuple[int, tuple[int, int], int]]:
    """(layer, (begin, end) in the tile, begin in the layer) of the layers with units in a tile from `first` on."""
    for layer, (begin, end) in enumerate(pairwise(bounds)):
        low, high = max(begin, first), min(end, first + size)
        if low < high:
            yield layer, (low - first, high - first), low - begin
