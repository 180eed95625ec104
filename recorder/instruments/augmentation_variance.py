"""What do augmentations of an image do to the units and layers of a network?

    within / total        of each unit's sum of squares, within = sum over images of sum (x - mean of the image)^2

0: no augmentation moves the unit; 1: only augmentations do, as with a single image. Beside it stand each layer's mean
cosine to the clean image by transform and strength, and the correlations of its units (256 of largest variance) and of
the samples (400 at most) over the augmentations.

It looks at the probe "augmentations", `Probe.augmented(images, samples=(0, 1), count=300)`; where none was given it is
made of the images of the default probe. Of all layers where there are at most 32, else of those with weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.analysis.augmentations import IDENTITY, Augmentation
from recorder.analysis.correlation import cross_correlation, defined, sample_correlation
from recorder.analysis.feature_variance import by_transform, cosine_to_clean, distance_to_clean, within_share
from recorder.analysis.features import kept_units
from recorder.charting import augmented as drawn
from recorder.errors import RecordError
from recorder.feature_layers import FeatureLayers, Spatial, Wanted
from recorder.probe import AUGMENTATIONS
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, Drawer

LAYERS = 32
UNITS = 256
SAMPLES = 400


class AugmentationVariance:
    """Variance within augmented images, cosine to the clean ones, and correlations over the augmentations."""

    name = "augmentation_variance"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})
    probe = AUGMENTATIONS
    chart: ClassVar[Drawer] = staticmethod(drawn.chart)
    derived: ClassVar[Derived] = {
        "augmentation_variance": {"augmented_samples": drawn.gallery},
        "augmentation_distance": {"augmentation_by_type": drawn.by_type},
    }
    inner = frozenset({"augmentation_feature_units"})  # read to name units, no chart of its own

    def __init__(
        self, layers: Wanted = None, *, units: int = UNITS, samples: int = SAMPLES, spatial: Spatial = "mean",
        probe: str = AUGMENTATIONS,
    ) -> None:  # fmt: skip
        if min(units, samples) < 1:
            raise RecordError(f"AugmentationVariance(units={units}, samples={samples}): expected at least 1")
        self.probe = probe
        self._units, self._samples = units, samples
        self._layers = FeatureLayers(layers, spatial, most=LAYERS)
        self._made: tuple[Augmentation, ...] = ()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        probe = facts.probes.get(self.probe)
        if probe is None or not probe.augmentations:
            raise RecordError(
                f"{self.name!r} looks at a probe of augmented images, and {self.probe!r} is none; give "
                f"probe={{..., {self.probe!r}: Probe.augmented(images)}}"
            )
        self._made = probe.augmentations
        sizes = self._layers.meet(facts)
        kept = tuple((min(size, self._units),) * 2 for size in sizes.values())
        n = min(self._samples, len(self._made))
        changed = [one for one in self._made if one.transform != IDENTITY]
        grid = len({one.transform for one in changed}), len({one.strength for one in changed})
        how, some = f"{self._layers.how}.", f"of the first {n} " if n < len(self._made) else ""
        layers = tuple(sizes)
        return (
            Series("augmentation_variance", Kind.VECTOR, "1",
                   f"Variance within augmented images over total variance, of each unit{how}", layers,
                   dims=("unit",), item_dim="layer", ragged=tuple((size,) for size in sizes.values())),
            Series("augmentation_cosine", Kind.MATRIX, "1",
                   f"Mean cosine of the layer's features to those of the clean image{how}", layers, grid,
                   ("transform", "strength"), item_dim="layer"),
            Series("augmentation_distance", Kind.MATRIX, "1",
                   "Mean squared distance of the layer's features to those of the clean image, over their variance"
                   f"{how}", layers, grid, ("transform", "strength"), item_dim="layer"),
            Series("augmentation_feature_correlation", Kind.MATRIX, "1",
                   f"Pearson's r of every two units over the augmentations{how}", layers,
                   dims=("unit", "other_unit"), item_dim="layer", ragged=kept),
            Series("augmentation_feature_units", Kind.VECTOR, "1",
                   "Which units of the layer augmentation_feature_correlation looks at.", layers, dims=("unit",),
                   dtype="int32", item_dim="layer", ragged=tuple(shape[:1] for shape in kept)),
            Series("augmentation_sample_correlation", Kind.MATRIX, "1",
                   f"Pearson's r of the features of every two {some}augmentations{how}", layers, (n, n),
                   ("sample", "other_sample"), item_dim="layer"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> each series as {layer: array}"""
        return {
            f"augmentation_{what}": {layer: of(x) for layer, x in self._layers.features(reading).items()}
            for what, of in (
                ("variance", self._variance), ("cosine", self._cosine),
                ("distance", self._distance), ("feature_correlation", self._units_alike),
                ("feature_units", self._kept), ("sample_correlation", self._samples_alike),
            )
        }  # fmt: skip

    def _variance(self, x: np.ndarray) -> np.ndarray:
        """-> (unit,)"""
        return within_share(x, np.array([one.sample for one in self._made]))

    def _cosine(self, x: np.ndarray) -> np.ndarray:
        """-> (transform, strength)"""
        return self._by_transform(cosine_to_clean(x, self._clean()))

    def _distance(self, x: np.ndarray) -> np.ndarray:
        """-> (transform, strength)"""
        return self._by_transform(distance_to_clean(x, self._clean()))

    def _clean(self) -> np.ndarray:
        """-> (sample,) int: where the clean image of each is"""
        clean = {one.sample: k for k, one in enumerate(self._made) if one.transform == IDENTITY}
        return np.array([clean[one.sample] for one in self._made])

    def _by_transform(self, values: np.ndarray) -> np.ndarray:
        """Means (transform, strength) of the values (sample,) of what was changed."""
        changed = [k for k, one in enumerate(self._made) if one.transform != IDENTITY]
        transforms, strengths = zip(*((self._made[k].transform, self._made[k].strength) for k in changed), strict=True)
        return by_transform(values[changed], transforms, strengths)[0]

    def _kept(self, x: np.ndarray) -> np.ndarray:
        """-> (unit,) int32: those that _units_alike compares"""
        return kept_units(x, self._units)

    def _units_alike(self, x: np.ndarray) -> np.ndarray:
        """-> (unit, other unit)"""
        return defined(cross_correlation([x[:, self._kept(x)]]).block(0, 0))

    def _samples_alike(self, x: np.ndarray) -> np.ndarray:
        """-> (sample, other sample)"""
        return defined(sample_correlation(x[: self._samples]))
