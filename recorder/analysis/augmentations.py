"""Which changed versions of an image does one ask a network about, and how is each of them made again, bit for bit?

Each is described by its transform and its parameters, drawn once from a seed; what is drawn for each pixel (noise) has
the seed of its own. A transform works on the numbers as the model takes them: those that move or blend pixels do not
care what black and white are, the others count in units of white - black. How far one goes is drawn from the eighth
below its strength; at 0 each is the identity. Beyond the border an image is mirrored: no black corners come in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import cos, exp, log, pi, radians, sin, tan

import numpy as np

from recorder.analysis.picture import Picture
from recorder.errors import RecordError

IDENTITY = "identity"
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
FLIPS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))  # left and right, up and down, both
SMALLEST = 8  # pixels of a side, of which a shift by a sixteenth is still something
COUNT = 300
MOST = 10_000  # of a probe: each is described in the run's provenance

Draw = Callable[[np.random.Generator, float], dict[str, float]]  # for a size from 0 to 1
# image (height, width, channel) float64, its parameters, white - black (channel,), what is drawn for each pixel
Change = Callable[[np.ndarray, Mapping[str, float], np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Augmentation:
    """How one image of a probe was made: from which sample, by which transform, how strongly.

    `parameters` say all that there is to say of it; only what is drawn for each pixel is drawn again, from `seed`.
    """

    sample: int  # of the images that were given
    transform: str  # IDENTITY: the clean image
    strength: float  # 0 (the clean image) to 1, of a few for all transforms; sizes are drawn from the eighth below it
    parameters: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def augmentations(
    samples: Sequence[int] = (0,), *, count: int = COUNT, seed: int = 0, transforms: Sequence[str] | None = None
) -> tuple[Augmentation, ...]:
    """For each sample the clean image and `count` augmentations, as many of each transform and strength.

    The k-th augmentation is the same for every image. There are three flips, all of strength 1.
    """
    names = tuple(TRANSFORMS) if transforms is None else tuple(transforms)
    if unknown := [name for name in names if name not in TRANSFORMS]:
        raise RecordError(f"augmented: no transform is called {unknown[0]!r}; there are {', '.join(TRANSFORMS)}")
    if count < 1 or not names or not samples:
        raise RecordError(
            f"augmented: expected at least one sample, augmentation and transform; got samples={tuple(samples)}, "
            f"count={count}, transforms={names}"
        )
    if (total := count * len(samples)) > MOST:
        raise RecordError(f"augmented: {total:,} augmentations; a run describes at most {MOST:,}")
    cells = [(name, strength) for name in names for strength in (STRENGTHS if name != "flip" else STRENGTHS[-1:])]
    often = _shared(count, [count if name != "flip" else len(FLIPS) for name, _ in cells])
    drawn = [_drawn(*cell, k, [seed, place, k]) for place, cell in enumerate(cells) for k in range(often[place])]
    clean = Augmentation(0, IDENTITY, 0.0)
    return tuple(replace(one, sample=sample) for sample in samples for one in (clean, *drawn))


def _shared(count: int, most: Sequence[int]) -> list[int]:
    """`count` in as equal parts as can be, none larger than its `most`; the first are larger by one."""
    if sum(most) < count:
        raise RecordError(f"augmented: there are only {sum(most)} different flips, and count={count} are asked for")
    parts = [0] * len(most)
    while left := count - sum(parts):
        for k in [k for k, part in enumerate(parts) if part < most[k]][:left]:
            parts[k] += 1
    return parts


def _drawn(transform: str, strength: float, k: int, seeds: Sequence[int]) -> Augmentation:
    own = int(np.random.SeedSequence(list(seeds)).generate_state(1)[0])
    if transform == "flip":
        horizontal, vertical = FLIPS[k]
        return Augmentation(0, transform, strength, {"horizontal": horizontal, "vertical": vertical}, own)
    rng = np.random.default_rng([own, 0])
    size = float(rng.uniform(strength - STRENGTHS[0] / 2, strength))
    return Augmentation(0, transform, strength, TRANSFORMS[transform][0](rng, size), own)


def augment(batch: np.ndarray, described: Sequence[Augmentation], picture: Picture) -> np.ndarray:
    """(sample, ...) as the model takes it -> (augmentation, ...) of the same dtype."""
    if min(picture.height, picture.width) < SMALLEST:
        raise RecordError(
            f"augmented: images of {picture.height} x {picture.width} pixels are too small; expected at least "
            f"{SMALLEST} x {SMALLEST}"
        )
    pictures = picture.pictures(batch)
    made = np.empty((len(described), *pictures.shape[1:]), batch.dtype)
    for k, one in enumerate(described):
        made[k] = pictures[one.sample] if one.transform == IDENTITY else _made(pictures[one.sample], one, picture)
    return picture.numbers(made, batch.shape[1:])


def _made(image: np.ndarray, how: Augmentation, picture: Picture) -> np.ndarray:
    """One augmentation, between black and white or as far beyond them as the image itself."""
    black, white = np.asarray(picture.black), np.asarray(picture.white)
    exact = image.astype(np.float64)
    change = TRANSFORMS[how.transform][1]
    changed = change(exact, how.parameters, white - black, np.random.default_rng([how.seed, 1]))
    low = np.minimum(np.minimum(black, white), exact.min(axis=(0, 1)))
    high = np.maximum(np.maximum(black, white), exact.max(axis=(0, 1)))
    changed = np.clip(changed, low, high)
    return np.rint(changed) if image.dtype.kind in "iu" else changed


# -- what is drawn for a strength, and what becomes of an image


def _signed(rng: np.random.Generator, size: float) -> float:
    return size if rng.random() < 0.5 else -size


def _warped(image: np.ndarray, matrix: Sequence[Sequence[float]], shift: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """The image whose pixel p (row, column from its centre) is the given one's at matrix (p - shift), bilinear."""
    from scipy.ndimage import affine_transform  # late: only who augments needs it

    inverse = np.asarray(matrix, float)
    centre = (np.asarray(image.shape[:2], float) - 1) / 2
    offset = centre - inverse @ (centre + np.asarray(shift, float))
    channels = [affine_transform(c, inverse, offset, order=1, mode="mirror") for c in np.moveaxis(image, -1, 0)]
    return np.stack(channels, axis=-1)


def _rotated(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    c, s = cos(radians(p["degrees"])), sin(radians(p["degrees"]))
    return _warped(image, [[c, s], [-s, c]])  # counter-clockwise, rows going down


def _shifted(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return _warped(image, np.eye(2).tolist(), (p["down"] * image.shape[0], p["right"] * image.shape[1]))


def _scaled(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return _warped(image, [[1 / p["factor"], 0.0], [0.0, 1 / p["factor"]]])


def _sheared(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return _warped(image, [[1.0, 0.0], [tan(radians(p["degrees"])), 1.0]])


def _brightened(image: np.ndarray, p: Mapping[str, float], unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return image + p["added"] * unit


def _contrasted(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return image + (p["factor"] - 1.0) * (image - image.mean(axis=(0, 1)))


def _noisy(image: np.ndarray, p: Mapping[str, float], unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image + p["sigma"] * unit * rng.standard_normal(image.shape)


def _blurred(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    sigma = p["sigma"] * min(image.shape[:2])
    return gaussian_filter(image, (sigma, sigma, 0.0), mode="mirror")


def _erased(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    top, left = round(p["top"] * height), round(p["left"] * width)
    below, right = top + round(p["side"] * height), left + round(p["side"] * width)
    found = image.copy()
    found[top:below, left:right] = image.mean(axis=(0, 1))
    return found


def _flipped(image: np.ndarray, p: Mapping[str, float], _unit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    upright = image[::-1] if p["vertical"] else image
    return upright[:, ::-1] if p["horizontal"] else upright


def _draw_shift(rng: np.random.Generator, size: float) -> dict[str, float]:
    angle = rng.uniform(0, 2 * pi)
    return {"down": 0.25 * size * sin(angle), "right": 0.25 * size * cos(angle)}


def _draw_box(rng: np.random.Generator, size: float) -> dict[str, float]:
    side = 0.5 * size
    return {"side": side, "top": rng.uniform(0, 1 - side), "left": rng.uniform(0, 1 - side)}


# What is drawn for a size from 0 to 1, in degrees, shares of the image's side or of white - black; and what is done.
TRANSFORMS: Mapping[str, tuple[Draw, Change]] = {
    "rotate": (lambda rng, s: {"degrees": _signed(rng, 45.0 * s)}, _rotated),
    "shift": (_draw_shift, _shifted),
    "scale": (lambda rng, s: {"factor": exp(_signed(rng, log(1.6) * s))}, _scaled),
    "shear": (lambda rng, s: {"degrees": _signed(rng, 30.0 * s)}, _sheared),
    "brightness": (lambda rng, s: {"added": _signed(rng, 0.4 * s)}, _brightened),
    "contrast": (lambda rng, s: {"factor": exp(_signed(rng, log(3.0) * s))}, _contrasted),
    "noise": (lambda _rng, s: {"sigma": 0.3 * s}, _noisy),
    "blur": (lambda _rng, s: {"sigma": 0.06 * s}, _blurred),
    "erase": (_draw_box, _erased),
    "flip": (lambda _rng, _size: {}, _flipped),
}
