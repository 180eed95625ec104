"""How much of what a unit does is the augmentation, and how much the image?

Of the features of augmented images, grouped by the image they were made of (one-way analysis of variance):

    within / total        within = sum over images of sum (x - mean of the image)^2, total = sum (x - mean)^2

0 is a unit that no augmentation moves, 1 one that only augmentations move; with a single image it is 1. A unit that is
dead or not finite (see `features`) has no variance to divide: NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recorder.analysis.features import centred


def sums_of_squares(x: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> within, total, each (unit,) float64, of features `x` (sample, unit) and the image (sample,) of each sample."""
    if images.shape != x.shape[:1]:
        raise ValueError(f"feature variance: expected one image for each of {len(x)} samples, got {images.shape}")
    with np.errstate(all="ignore"):
        wide = centred(x)
        total = np.square(wide).sum(axis=0)
        for image in np.unique(images):
            own = images == image
            wide[own] -= wide[own].mean(axis=0)
        return np.square(wide).sum(axis=0), total


def within_share(x: np.ndarray, images: np.ndarray) -> np.ndarray:
    """-> (unit,) float64: within / total of features `x` (sample, unit) and the image (sample,) of each sample."""
    within, total = sums_of_squares(x, images)
    with np.errstate(all="ignore"):
        share = np.minimum(within / total, 1)
    return np.where(np.isfinite(share), share, np.nan)


def cosine_to_clean(x: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """-> (sample,) float64: cosine of each row of the features `x` (sample, unit) with the row `clean` (sample,) says.

    NaN where one of the two is 0 everywhere, or not finite.
    """
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        wide /= np.abs(wide).max(axis=1, initial=0, keepdims=True)
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        cosine = (wide * wide[clean]).sum(axis=1)
    return np.clip(cosine, -1, 1)


def distance_to_clean(x: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """-> (sample,) float64: ||x - x_clean||^2 over the mean of ||x - mean x||^2, of features `x` (sample, unit).

    `clean` (sample,) says which row each is compared with. 0: not moved; 1: as far as samples lie from their mean.
    Units that are not finite are left out; NaN where nothing varies.
    """
    with np.errstate(all="ignore"):
        wide = centred(x[:, np.isfinite(x).all(axis=0)])
        spread = np.square(wide).sum() / len(wide)
        distance = np.square(wide - wide[clean]).sum(axis=1) / spread
    return np.where(np.isfinite(distance), distance, np.nan)


def by_transform(
    values: np.ndarray, transforms: Sequence[str], strengths: Sequence[float]
) -> tuple[np.ndarray, tuple[str, ...], tuple[float, ...]]:
    """-> means (transform, strength) float64, the transforms as they come first, the strengths ascending.

    `values` (sample,), one transform and one strength for each. NaN where there is no value, and NaN are left out.
    """
    names, levels = tuple(dict.fromkeys(transforms)), tuple(sorted(set(strengths)))
    if not len(values) == len(transforms) == len(strengths):
        raise ValueError(
            f"by_transform: expected a transform and a strength for each of {len(values)} values, "
            f"got {len(transforms)} and {len(strengths)}"
        )
    place = [names.index(t) * len(levels) + levels.index(s) for t, s in zip(transforms, strengths, strict=True)]
    known, at = ~np.isnan(values), np.array(place, int)
    size = len(names) * len(levels)
    sums = np.bincount(at[known], values[known], minlength=size)
    counts = np.bincount(at[known], minlength=size)
    with np.errstate(invalid="ignore"):
        return (sums / counts).reshape(len(names), len(levels)), names, levels
