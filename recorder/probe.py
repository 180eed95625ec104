"""What is a model asked again and again while it learns, and what does one know of it: labels, classes, pixels?

`Probe` is what a user gives, `ProbeFacts` what a run tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from recorder.analysis.augmentations import Augmentation
from recorder.analysis.picture import Picture

Layout = Literal["image", "vector", "other"]
Label = int | float | str
DEFAULT = "probe"  # the name of the only one
AUGMENTATIONS = "augmentations"  # the name of the one that is made of the first one's images


@dataclass(frozen=True)
class LayerFacts:
    """A layer whose output can be probed: `shape` is that of one sample (unit, ...), `kind` the class of the module."""

    name: str
    kind: str  # the class name: "Linear", "Conv2d", "ReLU"
    shape: tuple[int, ...]

    @property
    def units(self) -> int:
        """Features of a vector layer, channels of a convolution."""
        return self.shape[0] if self.shape else 1


@dataclass(frozen=True)
class ProbeFacts:
    """What is known of one probe; kept as JSON in a run's `meta["probes"][name]`."""

    samples: int
    labels: tuple[Label, ...] = ()  # one a sample, or none
    classes: tuple[str, ...] = ()  # names of the labels 0, 1, ...
    mean: tuple[float, ...] = ()  # by which images were normalised, one a channel or one for all
    std: tuple[float, ...] = ()
    layout: Layout = "other"
    digest: str = ""  # of its numbers, shapes and dtypes: two runs with the same one were asked the same
    augmentations: tuple[Augmentation, ...] = ()  # one a sample, the clean images included, or none
    picture: Picture | None = None  # of an "image"
    layers: tuple[LayerFacts, ...] = ()  # what answers to it
    dtypes: Mapping[str, str] = field(default_factory=dict)  # input -> as the model takes it; "" is a single one


class Probe:
    """A batch that a model is asked about, with what is known of it.

    inputs   what the model takes: an array or tensor, a tuple or dict of them; (inputs, labels) as well
    labels   one a sample: numbers, texts, or one row of ones and zeros each
    classes  names of the labels 0, 1, ...
    mean     by which images were normalised, one number or one a channel; undone where they are shown
    std      likewise
    image    (height, width) of images that are flat vectors, or otherwise not to be known by their shape
    store    keep the inputs in the run, where they take at most 32 MB
    """

    def __init__(
        self,
        inputs: Any,
        *,
        labels: Any = None,
        classes: Sequence[str] = (),
        mean: Any = None,
        std: Any = None,
        image: Sequence[int] = (),
        store: bool = True,
    ) -> None:
        self.inputs = inputs
        self.labels = labels
        self.classes = tuple(str(name) for name in classes)
        self.mean = mean
        self.std = std
        self.image = tuple(image)
        self.store = store
        self.augmentations: tuple[Augmentation, ...] = ()
