"""What can a small network learn to tell apart without a download? 32 x 32 patches of ten photographs.

Two photographs come inside scikit-learn, eight inside scikit-image, whose documents name the photographers. Each is cut
into tiles of 64 x 64; of the larger ones 80 tiles are taken, spread evenly. A patch lies within one tile, and of each
row and column of tiles every fifth is held out for validation, so no pixel is seen in both. A class is a photograph.
This is a demonstration, not a benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from recorder.errors import RecordError

PHOTOGRAPHS = {  # class -> package and file
    "temple": ("sklearn.datasets.images", "china.jpg"),
    "flower": ("sklearn.datasets.images", "flower.jpg"),
    "astronaut": ("skimage.data", "astronaut.png"),
    "cat": ("skimage.data", "chelsea.png"),
    "coffee": ("skimage.data", "coffee.png"),
    "galaxies": ("skimage.data", "hubble_deep_field.jpg"),
    "tissue": ("skimage.data", "ihc.png"),  # immunohistochemistry
    "motorcycle": ("skimage.data", "motorcycle_left.png"),  # of stereo_motorcycle
    "retina": ("skimage.data", "retina.jpg"),
    "rocket": ("skimage.data", "rocket.jpg"),
}
TILE, PATCH, STRIDE = 64, 32, 16  # pixels
MOST = 80  # tiles of a photograph
HELD = 5  # one of so many tiles is for validation


@dataclass(frozen=True)
class Patches:
    """Images (sample, 32, 32, 3) uint8 and labels (sample,) int64, for training and for validation."""

    images: np.ndarray
    labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    classes: tuple[str, ...]


def load() -> Patches:
    """All patches, in the order of the photographs and of the tiles in each.

    Raises:
        RecordError: scikit-image is missing, or came without a photograph.
    """
    images: dict[bool, list[np.ndarray]] = {False: [], True: []}
    labels: dict[bool, list[int]] = {False: [], True: []}
    for label, name in enumerate(PHOTOGRAPHS):
        for tile, held in tiles(photograph(name)):
            images[held] += (cut := patches(tile))
            labels[held] += [label] * len(cut)
    x, y, held_x, held_y = map(np.array, (images[False], labels[False], images[True], labels[True]))
    return Patches(x, y, held_x, held_y, tuple(PHOTOGRAPHS))


def photograph(name: str) -> np.ndarray:
    """-> (height, width, 3) uint8, read from the installed package."""
    from PIL import Image

    package, file = PHOTOGRAPHS[name]
    try:
        with files(package).joinpath(file).open("rb") as opened, Image.open(opened) as image:
            return np.asarray(image.convert("RGB"))
    except (ImportError, FileNotFoundError) as missing:
        distribution = {"sklearn": "scikit-learn", "skimage": "scikit-image"}[package.partition(".")[0]]
        raise RecordError(
            f"the photograph {name!r} is {file} of {distribution}, and it is not there ({missing}); "
            "install it with: pip install 'layerscope[photos]'"
        ) from missing


def tiles(pixels: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """The tiles that are taken of a photograph, row by row, and whether each is for validation."""
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    chosen = np.linspace(0, rows * columns - 1, min(rows * columns, MOST)).round().astype(int)
    places = [divmod(int(k), columns) for k in chosen]
    return [
        (pixels[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE], (2 * r + c) % HELD == HELD - 1)
        for r, c in places
    ]


def patches(tile: np.ndarray) -> list[np.ndarray]:
    """-> [(32, 32, 3)], the nine of a tile, half a patch apart"""
    starts = range(0, TILE - PATCH + 1, STRIDE)
    return [tile[top : top + PATCH, left : left + PATCH] for top in starts for left in starts]
