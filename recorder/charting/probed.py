"""On which probe was a series measured, and what are its samples called?

A series of another probe than the default one carries its name: `cka@noise`. What belongs together has the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recorder.analysis.augmentations import Augmentation
from recorder.charting.kept_inputs import probe_facts, thumbnail
from recorder.probe import AUGMENTATIONS, DEFAULT, ProbeFacts, suffixed, unsuffixed
from recorder.view import RunView

MOST = 30  # stretches that are named


def beside(series: str, other: str) -> str:
    """The series `other` of the probe that `series` was measured on: cka@noise, cka_gram -> cka_gram@noise."""
    return suffixed(other, unsuffixed(series)[1])


@dataclass(frozen=True)
class Probed:
    """The probe of one series of a run."""

    run: RunView
    series: str

    @cached_property
    def probe(self) -> str:
        """Its name."""
        base, name = unsuffixed(self.series)
        if not name and base.startswith("augmentation_"):
            return AUGMENTATIONS
        return name or next(iter(self.run.meta.get("probes") or ()), DEFAULT)

    @cached_property
    def facts(self) -> ProbeFacts:
        """What the run knows of it; a run of an older version just how many samples its only one has."""
        said = 0 if "@" in self.series else self.run.meta.get("probe_samples")
        return probe_facts(self.run, self.probe) or ProbeFacts(said if isinstance(said, int) else 0)

    @property
    def samples(self) -> int:
        """How many samples it has; 0 where that is not known."""
        return self.facts.samples

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Layer -> the shape of what it answers to one sample."""
        if self.facts.layers:
            return {layer.name: layer.shape for layer in self.facts.layers}
        return {layer["name"]: tuple(layer["shape"]) for layer in self.run.meta.get("layers", ())}

    @property
    def augmentations(self) -> Sequence[Augmentation]:
        """How each sample was made, where they are augmentations."""
        return self.facts.augmentations

    def name(self, k: int) -> str:
        """A sample by its number and what is known of it: "17: cat", "17: rotate 0.25, image 3", or just "17"."""
        return self._said(k)

    @cached_property
    def images(self) -> int:
        """Of how many images there are augmentations."""
        return len({one.sample for one in self.augmentations})

    def about(self, k: int) -> str:
        """What is known of a sample: "cat", "rotate 0.25", or nothing."""
        strength = self.augmentations[k].strength if k < len(self.augmentations) else 0.0
        return f"{self.kind(k)} {strength:.2g}" if strength else self.kind(k)

    def described(self, k: int) -> str:
        """The same with the parameters of an augmentation: "17: rotate 0.25, degrees 7.5, image 3"."""
        drawn = self.augmentations[k].parameters if k < len(self.augmentations) else {}
        return self._said(k, *(f"{name} {value:.3g}" for name, value in drawn.items()))

    def _said(self, k: int, *more: str) -> str:
        image = k < len(self.augmentations) and self.images > 1
        words = (self.about(k), *more, f"image {self.augmentations[k].sample}" if image else "")
        return f"{k}: {', '.join(word for word in words if word)}".removesuffix(": ")

    def kind(self, k: int) -> str:
        """The label of a sample, or the transform that made it; "" where nothing is known."""
        if k < len(self.augmentations):
            return self.augmentations[k].transform
        labels, classes = self.facts.labels, self.facts.classes
        if k >= len(labels):
            return ""
        label = labels[k]
        return classes[label] if isinstance(label, int) and 0 <= label < len(classes) else str(label)

    def order(self, count: int) -> np.ndarray:
        """(sample,) the order that puts samples of one label beside each other; as they came where they have none."""
        labels = self.facts.labels[:count]
        if self.augmentations or len(labels) < count:
            return np.arange(count)
        ranks = {label: k for k, label in enumerate(sorted(set(labels), key=lambda x: (isinstance(x, str), x)))}
        return np.argsort([ranks[label] for label in labels], kind="stable")

    def stretches(self, order: np.ndarray) -> tuple[tuple[float, float, str], ...]:
        """(from, to, name) of samples of one kind, in this order, or of one image; () of none, or of too many."""
        kinds = [self.kind(int(k)) for k in order]
        starts = _changes(kinds)
        if len(starts) > MOST and self.augmentations:
            kinds = [f"image {self.augmentations[int(k)].sample}" for k in order]
            starts = _changes(kinds)
        if len(starts) > MOST or not any(kinds):
            return ()
        return tuple((float(a), float(b), kinds[a]) for a, b in zip(starts, [*starts[1:], len(kinds)], strict=True))

    def thumbnail(self, k: int) -> np.ndarray | None:
        """Sample k as a picture (height, width[, 3]) from 0 to 1; None where it is none, or was not stored."""
        return thumbnail(self.run, self.probe, k)


def _changes(kinds: Sequence[str]) -> list[int]:
    """Where a stretch of one kind begins."""
    return [k for k, kind in enumerate(kinds) if k == 0 or kind != kinds[k - 1]]
