"""Augmentations obey the laws of their transforms, and a recorded list makes the same images again, bit for bit."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from recorder.analysis.augmentations import (
    FLIPS,
    IDENTITY,
    SMALLEST,
    STRENGTHS,
    TRANSFORMS,
    Augmentation,
    augment,
    augmentations,
)
from recorder.analysis.picture import Picture
from recorder.errors import RecordError

NOTHING = {
    "rotate": {"degrees": 0.0},
    "shift": {"down": 0.0, "right": 0.0},
    "scale": {"factor": 1.0},
    "shear": {"degrees": 0.0},
    "brightness": {"added": 0.0},
    "contrast": {"factor": 1.0},
    "noise": {"sigma": 0.0},
    "blur": {"sigma": 0.0},
    "erase": {"side": 0.0, "top": 0.3, "left": 0.6},
    "flip": {"horizontal": 0.0, "vertical": 0.0},
}
RGB = Picture(12, 10, 3)


def images(samples: int = 3, picture: Picture = RGB) -> np.ndarray:
    shape = (samples, picture.channels, picture.height, picture.width)
    return np.random.default_rng(0).random(shape).astype(np.float32)


def one(transform: str, batch: np.ndarray, picture: Picture = RGB, **parameters: float) -> np.ndarray:
    return augment(batch, [Augmentation(0, transform, 0.5, parameters, seed=7)], picture)[0]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8])
def test_at_strength_0_each_one_is_the_image_itself(transform, dtype):
    batch = (images() * (255 if dtype is np.uint8 else 3) - (0 if dtype is np.uint8 else 1)).astype(dtype)
    np.testing.assert_array_equal(one(transform, batch, **NOTHING[transform]), batch[0])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_one_changes_the_image_more_where_it_is_stronger(transform):
    smooth = Picture(32, 32)
    batch = gaussian_filter(images(1, smooth), (0, 0, 3, 3)).astype(np.float32)
    batch = (batch - batch.min()) / np.ptp(batch)
    listed = augmentations(count=300, transforms=[transform]) if transform != "flip" else augmentations(
        count=3, transforms=["flip"]
    )  # fmt: skip
    made = augment(batch, listed, smooth)
    far = [np.mean([np.abs(m - batch[0]).mean() for m, how in zip(made, listed, strict=True) if how.strength == s])
           for s in sorted({how.strength for how in listed})]  # fmt: skip
    assert far[0] == 0
    assert (np.diff(far) > 0).all()


@pytest.mark.parametrize("turns", [-2, -1, 1, 2, 3])
def test_quarter_turns_are_those_of_numpy(turns):
    picture = Picture(9, 9, 3)
    batch = images(1, picture)
    found = one("rotate", batch, picture, degrees=90.0 * turns)
    np.testing.assert_allclose(found, np.rot90(batch[0], turns, axes=(1, 2)), atol=1e-6)


def test_a_whole_turn_is_the_image():
    np.testing.assert_allclose(one("rotate", images(), degrees=360.0), images()[0], atol=1e-6)


def test_a_shift_by_whole_pixels_moves_them():
    batch = images()
    found = one("shift", batch, down=2 / 12, right=-3 / 10)
    np.testing.assert_allclose(found[:, 2:, :-3], batch[0][:, :-2, 3:], atol=1e-6)


def test_twice_as_large_shows_the_middle():
    picture = Picture(9, 9)
    batch = images(1, picture)
    found = one("scale", batch, picture, factor=2.0)
    np.testing.assert_allclose(found[:, ::2, ::2], batch[0][:, 2:7, 2:7], atol=1e-6)


def test_a_shear_by_45_degrees_moves_each_row_by_one_more():
    picture = Picture(9, 9)
    batch = images(1, picture)
    found = one("shear", batch, picture, degrees=45.0)
    for row in range(9):
        left = row - 4  # of the middle row nothing moves
        inside = slice(max(0, -left), 9 - max(0, left))
        np.testing.assert_allclose(found[0, row, inside], np.roll(batch[0, 0, row], -left)[inside], atol=1e-6)


@pytest.mark.parametrize(("horizontal", "vertical"), FLIPS)
def test_flips(horizontal, vertical):
    batch = images()
    found = one("flip", batch, horizontal=horizontal, vertical=vertical)
    np.testing.assert_array_equal(found, batch[0][:, :: -1 if vertical else 1, :: -1 if horizontal else 1])


def test_brightness_is_added_in_units_of_white_minus_black_and_stays_between_them():
    picture = replace(RGB, black=(-1.0, -2.0, 0.0), white=(1.0, 2.0, 5.0))
    batch = images()
    found = one("brightness", batch, picture, added=0.1)
    white = np.array(picture.white)[:, None, None]
    added = np.array([0.2, 0.4, 0.5])[:, None, None]
    np.testing.assert_allclose(found, np.minimum(batch[0] + added, white), rtol=1e-6)
    assert (one("brightness", batch, picture, added=9.0) == np.array([1, 2, 5], "f4")[:, None, None]).all()


def test_contrast_keeps_the_mean_and_scales_what_is_around_it():
    wide = replace(RGB, black=(-9.0,), white=(9.0,))
    batch = images()
    found = one("contrast", batch, wide, factor=3.0)
    mean = batch[0].mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found - mean, 3 * (batch[0] - mean), atol=1e-5)


def test_noise_has_its_size_and_its_seed():
    large = Picture(200, 200, black=(-9.0,), white=(11.0,))
    batch = np.full((1, 1, 200, 200), 0.5)
    drawn = one("noise", batch, large, sigma=0.1) - 0.5
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.std() - 2.0) < 0.05
    other = augment(batch, [Augmentation(0, "noise", 0.5, {"sigma": 0.1}, seed=8)], large)[0] - 0.5
    assert abs(np.corrcoef(drawn.ravel(), other.ravel())[0, 1]) < 0.03


def test_blur_is_that_of_scipy():
    batch = images()
    expected = gaussian_filter(batch[0].astype(float), (0, 0.1 * 10, 0.1 * 10), mode="mirror")
    np.testing.assert_allclose(one("blur", batch, sigma=0.1), expected, atol=1e-6)


def test_what_is_erased_is_the_mean_and_the_rest_stays():
    batch = images()
    found = one("erase", batch, side=0.5, top=0.25, left=0.1)
    box = (slice(None), slice(3, 9), slice(1, 6))
    np.testing.assert_allclose(found[box], np.broadcast_to(batch[0].mean(axis=(1, 2))[:, None, None], found[box].shape),
                               rtol=1e-6)  # fmt: skip
    rest = np.ones(found.shape, bool)
    rest[box] = False
    np.testing.assert_array_equal(found[rest], batch[0][rest])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_normalised_images_are_augmented_as_the_images_are(transform):
    batch = images().astype(float)
    mean, std = (np.array(x)[:, None, None] for x in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    black, white = ((-mean / std).ravel(), ((1 - mean) / std).ravel())
    normalised = replace(RGB, black=tuple(black), white=tuple(white))
    listed = augmentations(count=3 if transform == "flip" else 8, transforms=[transform])
    np.testing.assert_allclose(
        augment((batch - mean) / std, listed, normalised) * std + mean, augment(batch, listed, RGB), atol=1e-9
    )


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 60), st.booleans())
def test_a_recorded_list_makes_the_same_images_bit_for_bit(seed, count, first):
    picture = replace(RGB, channels_first=first)
    batch = picture.numbers(RGB.pictures(images()), (3, 12, 10) if first else (12, 10, 3))
    listed = augmentations((2, 0), count=count, seed=seed)
    told = json.loads(json.dumps([asdict(how) for how in listed]))
    again = [Augmentation(**how) for how in told]
    assert tuple(again) == listed
    made = augment(batch, listed, picture)
    assert made.dtype == batch.dtype
    assert made.tobytes() == augment(batch, again, picture).tobytes()
    for k in range(0, len(listed), 7):  # and each one by itself
        assert augment(batch, [listed[k]], picture).tobytes() == made[k : k + 1].tobytes()


def test_the_list_has_each_transform_and_strength_as_often():
    listed = augmentations((4, 1), count=300, seed=3)
    assert [how.sample for how in listed] == [4] * 301 + [1] * 301
    assert [k for k, how in enumerate(listed) if how.transform == IDENTITY] == [0, 301]
    often = Counter((how.transform, how.strength) for how in listed[1:301])
    assert set(often) == {(t, s) for t in TRANSFORMS if t != "flip" for s in STRENGTHS} | {("flip", 1.0)}
    assert often.pop(("flip", 1.0)) == len(FLIPS)
    assert max(often.values()) - min(often.values()) <= 1
    assert [replace(how, sample=1) for how in listed[:301]] == list(listed[301:])
    assert len({(how.transform, *how.parameters.items(), how.seed) for how in listed[:301]}) == 301


def test_another_seed_is_another_list_and_the_same_one_is_the_same():
    assert augmentations(seed=1) == augmentations(seed=1)
    assert augmentations(seed=1) != augmentations(seed=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"transforms": ["rotate", "spin"]}, "no transform is called 'spin'; there are rotate, shift"),
        ({"transforms": []}, "expected at least one sample, augmentation and transform"),
        ({"count": 0}, "expected at least one"),
        ({"samples": ()}, "expected at least one"),
        ({"transforms": ["flip"], "count": 4}, "only 3 different flips, and count=4"),
        ({"samples": range(100)}, "30,000 augmentations; a run describes at most 10,000"),
    ],
)
def test_what_cannot_be_listed(options, said):
    with pytest.raises(RecordError, match=said):
        augmentations(**options)


def test_an_image_that_is_too_small():
    picture = Picture(SMALLEST, SMALLEST - 1)
    with pytest.raises(RecordError, match=f"images of 8 x 7 pixels are too small; expected at least {SMALLEST} x"):
        augment(images(1, picture), augmentations(count=1), picture)
