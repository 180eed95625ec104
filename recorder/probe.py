"""What is a model asked again and again while it learns, and what does one know of it: labels, classes, pixels?

`Probe` is what a user gives, `ProbeFacts` what a run tells of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from recorder.analysis.augmentations import COUNT, Augmentation, augment, augmentations
from recorder.analysis.picture import Picture, form, span, square
from recorder.errors import RecordError

Layout = Literal["image", "vector", "other"]
Label = int | float | str
DEFAULT = "probe"  # the name of the only one
AUGMENTATIONS = "augmentations"  # the name of the one that is made of the first one's images
INPUT = "probe_input"  # the series that keeps what a probe asks
IMAGES = 3  # that are augmented where nobody says which
NAME = re.compile(r"[A-Za-z0-9_.]+")
MOST = 100_000  # labels of a probe, which stand in the run's provenance


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
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # model -> of one prediction; "": the only one

    @classmethod
    def told(cls, meta: Mapping[str, Any]) -> ProbeFacts:
        """The facts as they were, from what JSON made of them; what another version says beside them is left out.

        ValueError, TypeError or KeyError where no probe can be so.
        """
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {name: _tuple(x) for name, x in meta.items() if name in known}
        given["augmentations"] = tuple(Augmentation(**one) for one in meta.get("augmentations", ()))
        given["layers"] = tuple(
            LayerFacts(one["name"], one["kind"], tuple(one["shape"])) for one in meta.get("layers", ())
        )
        given["outputs"] = {model: tuple(shape) for model, shape in meta.get("outputs", {}).items()}
        if (picture := meta.get("picture")) is not None:
            given["picture"] = Picture(**{name: _tuple(x) for name, x in picture.items()})
        found = cls(**given)
        if type(found.samples) is not int or len(found.augmentations) not in (0, found.samples):
            raise ValueError(f"{found.samples!r} samples, and {len(found.augmentations)} augmentations")
        return found


def _tuple(value: Any) -> Any:
    """A list of JSON as the tuple that it was."""
    return tuple(value) if isinstance(value, list) else value


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
        self.image = (image,) if isinstance(image, int) else tuple(image)
        self.store = store
        self.augmentations: tuple[Augmentation, ...] = ()  # one a sample, or none
        self.dtypes: Mapping[str, str] = {}  # input -> as the model takes it, where it is given otherwise: bfloat16

    @classmethod
    def augmented(
        cls,
        images: Any,
        *,
        samples: Sequence[int] = (0,),
        count: int = COUNT,
        seed: int = 0,
        transforms: Sequence[str] | None = None,
        labels: Any = None,
        classes: Sequence[str] = (),
        mean: Any = None,
        std: Any = None,
        image: Sequence[int] = (),
        store: bool = True,
    ) -> Probe:
        """Some of these images, each followed by `count` augmentations of it; `Augmentation` says what each one is.

        `transforms` are names of `recorder.analysis.augmentations.TRANSFORMS`; None: all, each at several strengths.
        `labels` are those of `images`. The probe takes what the images are: an array, or a tensor of their dtype.
        """
        pair = isinstance(images, tuple) and len(images) == 2
        probe = cls(
            images[0] if pair else images, labels=images[1] if pair and labels is None else labels, classes=classes,
            mean=mean, std=std, image=image, store=store,
        )  # fmt: skip
        inputs = {"": array_of(probe.inputs)}
        if not inputs[""].ndim or inputs[""].dtype.kind not in "biuf":
            raise RecordError(f"augmented: expected a batch of images, got {type(probe.inputs).__name__}")
        return augmented(
            probe, described(probe, inputs), inputs, samples=samples, count=count, seed=seed, transforms=transforms
        )


def named(given: Any) -> dict[str, Probe]:
    """What was given as `probe`, by name: one in any form is called "probe"; a dict of Probe has names of its own."""
    if given is None:
        return {}
    if isinstance(given, Mapping) and any(isinstance(one, Probe) for one in given.values()):
        if plain := [str(name) for name, one in given.items() if not isinstance(one, Probe)]:
            raise RecordError(
                f"probe: in a dict of several probes each one is a Probe(...); {', '.join(plain)} "
                f"{'is' if len(plain) == 1 else 'are'} not"
            )
        if odd := [name for name in given if not isinstance(name, str) or not NAME.fullmatch(name)]:
            raise RecordError(f"probe: expected names of letters, digits, '_' and '.', got {odd[0]!r}")
        return dict(given)
    return {DEFAULT: given if isinstance(given, Probe) else Probe(given)}


def augmented(
    probe: Probe,
    facts: ProbeFacts,
    inputs: Mapping[str, np.ndarray],
    *,
    samples: Sequence[int] | None = None,
    count: int | None = None,
    seed: int = 0,
    transforms: Sequence[str] | None = None,
) -> Probe:
    """A probe of augmented images, made of one whose inputs are these; RecordError where they are no images.

    Of the first few where none are named, as with one alone nothing is said of what tells images apart.
    """
    batch = next(iter(inputs.values()))
    samples = range(min(IMAGES, len(batch))) if samples is None else samples
    count = max(1, COUNT // max(1, len(samples))) if count is None else count
    picture = facts.picture or picture_of(batch.shape[1:], (), surely=True)
    if picture is None or len(inputs) > 1:
        found = "several inputs" if len(inputs) > 1 else f"samples of shape {batch.shape[1:]}"
        raise RecordError(
            f"augmented: {found} cannot be told to be images; give Probe(images, image=(height, width)), or a probe of "
            f"your own: probe={{..., {AUGMENTATIONS!r}: Probe.augmented(images)}}"
        )
    if outside := [k for k in samples if not 0 <= k < len(batch)]:
        raise RecordError(f"augmented: there is no sample {outside[0]} among {len(batch)} images")
    if facts.picture is None:
        black, white = span(batch, (), ())
        picture = replace(picture, black=black, white=white)
    how = augmentations(samples, count=count, seed=seed, transforms=transforms)
    made = _like(augment(batch, how, picture), probe.inputs)
    name = next(iter(inputs))
    copies = Probe(
        {name: made} if name else made, labels=[facts.labels[one.sample] for one in how] if facts.labels else None,
        classes=facts.classes, mean=probe.mean, std=probe.std, image=(picture.height, picture.width), store=probe.store,
    )  # fmt: skip
    copies.augmentations, copies.dtypes = how, probe.dtypes
    return copies


def _like(array: np.ndarray, given: Any) -> Any:
    """The array as a tensor of the same framework and dtype as what was given, where that makes tensors of arrays."""
    first: Any = next(iter(given.values())) if isinstance(given, Mapping) else given
    first = first[0] if isinstance(first, tuple | list) else first
    return first.new_tensor(array) if hasattr(first, "new_tensor") else array


def suffixed(name: str, probe: str) -> str:
    """The name of an instrument or series that is of another probe than the default one: `cka@noise`."""
    return f"{name}@{probe}" if probe else name


def unsuffixed(name: str) -> tuple[str, str]:
    """The inverse: ("cka", "noise"); ("cka", "") where it is of the default probe."""
    base, _, probe = name.partition("@")
    return base, probe


def is_input(series: str) -> bool:
    """Whether a series keeps what a probe asks; there is one for each dtype."""
    return series == INPUT or series.startswith(f"{INPUT}_")


def array_of(value: Any) -> np.ndarray:
    """An array, a tensor of any framework or a list as a numpy array of its own; bfloat16 as float32."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    found = np.array(value)
    return found.astype(np.float32) if found.dtype.kind == "V" else found


def described(
    probe: Probe, inputs: Mapping[str, np.ndarray], *, labels: Any = None, channels_last: bool = False,
    dtypes: Mapping[str, str] | None = None,
) -> ProbeFacts:  # fmt: skip
    """What there is to say of a probe whose inputs are these arrays; `labels` are those found beside them.

    RecordError where labels, classes, mean, std or image do not fit the inputs.
    """
    batch = next(iter(inputs.values()))
    shape, samples = batch.shape[1:], len(batch)
    if not samples:
        raise RecordError(f"probe: expected a batch with at least one sample, got an empty one of shape {batch.shape}")
    if probe.labels is not None and labels is not None:
        raise RecordError("probe: labels are given twice, as (inputs, labels) and as labels=; leave one out")
    found = labels_of(labels if probe.labels is None else probe.labels, samples, sure=probe.labels is not None)
    classes = probe.classes
    if classes and (unnamed := [x for x in found if isinstance(x, int) and not 0 <= x < len(classes)]):
        raise RecordError(f"probe: label {unnamed[0]} has no name; classes= gives those of 0 to {len(classes) - 1}")
    mean, std = _numbers("mean", probe.mean), _numbers("std", probe.std)
    normalised = bool(mean or std)
    picture = picture_of(shape, probe.image, channels_last=channels_last, surely=normalised)
    if picture is not None:
        for name, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in (0, 1, picture.channels):
                raise RecordError(
                    f"probe: {name}= has {len(numbers)} numbers; expected one, or one for each of the "
                    f"{picture.channels} channels of images of shape {shape}"
                )
        black, white = span(batch, mean, std)
        picture = replace(picture, black=black, white=white)
    elif normalised:
        raise RecordError(
            f"probe: mean= and std= are of images, and samples of shape {shape} are none; "
            "image=(height, width) says how they are images"
        )
    flat = len(shape) == 1 and batch.dtype.kind == "f"
    return ProbeFacts(
        samples, found, classes, mean, std, "image" if picture else "vector" if flat else "other", digest(inputs),
        probe.augmentations, picture, dtypes={name: str(x.dtype) for name, x in inputs.items()} | dict(dtypes or {}),
    )  # fmt: skip


def picture_of(
    shape: tuple[int, ...], image: Sequence[int], *, channels_last: bool = False, surely: bool = False
) -> Picture | None:
    """How a sample is a picture; `surely`: a flat vector as well, if it is that of a square."""
    if image and (len(image) != 2 or min(image) < 1):
        raise RecordError(f"probe: image= is (height, width), got {tuple(image)}")
    found = form(shape, image=image, channels_last=channels_last)
    if found is None and surely and len(shape) == 1 and (side := square(shape[0])):
        found = form(shape, image=side, channels_last=channels_last)
    if found is None and image:
        raise RecordError(f"probe: image={tuple(image)} does not fit samples of shape {shape}")
    return found


def labels_of(given: Any, samples: int, *, sure: bool) -> tuple[Label, ...]:
    """One label a sample; rows of ones and zeros become the place of the one.

    Where it is not `sure` that labels were meant, anything else that may be a target of the training is none.
    """
    if given is None or isinstance(given, Mapping):
        return ()
    try:
        found = array_of(given)
    except (TypeError, ValueError) as problem:
        if not sure:
            return ()
        raise RecordError(f"probe: labels= is no list of numbers or texts: {problem}") from problem
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 2 and found.dtype.kind in "biuf" and ((found == 0) | (found == 1)).all():
        found = found.argmax(axis=1) if (found.sum(axis=1) == 1).all() else found
    if found.ndim != 1 or found.dtype.kind not in "biufUO":
        if sure:
            raise RecordError(f"probe: expected one label for each of the {samples} samples, got shape {found.shape}")
        return ()
    if len(found) != samples:
        raise RecordError(f"probe: {len(found)} labels for {samples} samples; give one for each")
    if len(found) > MOST:
        if sure:
            raise RecordError(f"probe: {len(found):,} labels; a run keeps at most {MOST:,}, so leave labels= out")
        return ()
    if found.dtype.kind == "b":
        found = found.astype(int)
    return tuple(x if isinstance(x, int | float | str) else str(x) for x in found.tolist())


def digest(inputs: Mapping[str, np.ndarray]) -> str:
    """Of all that a model is asked: equal where names, shapes, dtypes and every number are."""
    whole = sha256()
    for name, array in inputs.items():
        whole.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:16]


def _numbers(name: str, given: Any) -> tuple[float, ...]:
    if given is None:
        return ()
    try:
        found = np.atleast_1d(array_of(given).astype(float))
    except (TypeError, ValueError):
        found = np.empty((0, 0))
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise RecordError(f"probe: {name}= is one number or one for each channel, got {given!r:.60}")
    if name == "std" and (found <= 0).any():
        raise RecordError(f"probe: std= is what numbers were divided by, so none can be 0 or less, got {given!r:.60}")
    return tuple(found.tolist())
