"""Which shapes are pictures, and that nothing is lost between the model's numbers and what is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.picture import Picture, form, span, square


@pytest.mark.parametrize(
    ("shape", "options", "found"),
    [
        ((3, 32, 48), {}, (32, 48, 3, True)),
        ((32, 48, 3), {}, (32, 48, 3, False)),
        ((1, 28, 28), {}, (28, 28, 1, True)),
        ((28, 28, 1), {}, (28, 28, 1, False)),
        ((3, 8, 3), {}, (8, 3, 3, True)),  # both ends may be the channels: the framework's order decides
        ((3, 8, 3), {"channels_last": True}, (3, 8, 3, False)),
        ((4, 9, 1), {}, (4, 9, 1, False)),  # one channel is likelier than four
        ((64, 14, 14), {}, None),  # features, no picture
        ((28, 28), {}, (28, 28, 1, True)),
        ((100, 12), {}, None),  # a sequence
        ((100, 12), {"image": (100, 12)}, (100, 12, 1, True)),
        ((784,), {}, None),
        ((784,), {"image": (28, 28)}, (28, 28, 1, True)),
        ((12,), {"image": (2, 2)}, (2, 2, 3, True)),
        ((12,), {"image": (2, 2), "channels_last": True}, (2, 2, 3, False)),
        ((784,), {"image": (28, 27)}, None),
        ((3, 32, 48), {"image": (48, 32)}, None),
        ((), {}, None),
    ],
)
def test_what_is_a_picture(shape, options, found):
    picture = form(shape, **options)
    assert found == (picture and (picture.height, picture.width, picture.channels, picture.channels_first))


def test_a_square_is_one_only_if_it_can_be_seen():
    assert [square(n) for n in (784, 64, 49, 783, 0)] == [(28, 28), (8, 8), None, None, None]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.booleans(), st.booleans())
def test_pictures_and_back_is_the_batch(samples, height, width, channels, first, flat):
    picture = Picture(height, width, channels, channels_first=first)
    shape = (channels, height, width) if first else (height, width, channels)
    batch = np.arange(float(samples * channels * height * width)).reshape(samples, *((-1,) if flat else shape))
    pictures = picture.pictures(batch)
    assert pictures.shape == (samples, height, width, channels)
    np.testing.assert_array_equal(picture.numbers(pictures, batch.shape[1:]), batch)


@given(
    st.lists(st.floats(0.1, 0.9), min_size=3, max_size=3),
    st.lists(st.floats(0.1, 2.0), min_size=3, max_size=3),
    st.booleans(),
)
def test_normalisation_is_undone(mean, std, bytes_):
    full = 255.0 if bytes_ else 1.0
    mean, std = [full * m for m in mean], [full * s for s in std]
    image = np.random.default_rng(0).random((2, 3, 4, 5))
    axes = (slice(None), None, None)
    batch = (full * image - np.array(mean)[axes]) / np.array(std)[axes]
    if bytes_ and max(*mean, *std) <= 2.0:
        return  # nothing says that these are bytes
    black, white = span(batch, mean, std)
    shown = Picture(4, 5, 3, True, black, white).shown(batch)
    np.testing.assert_allclose(shown, np.moveaxis(image, 1, -1), atol=1e-6)


@pytest.mark.parametrize(
    ("batch", "black", "white"),
    [
        (np.array([0, 9], np.uint8), 0, 255),
        (np.array([0.2, 0.9]), 0, 1),
        (np.array([0.0, 200.0]), 0, 255),
        (np.array([-1.0, 1.0]), -1, 1),
        (np.array([-1.0, np.nan, 3.0]), -1, 3),
        (np.array([np.nan]), 0, 1),
    ],
)
def test_black_and_white_of_numbers_that_nobody_explained(batch, black, white):
    assert span(batch, (), ()) == ((float(black),), (float(white),))


def test_other_channels_are_shown_as_their_mean():
    batch = np.stack([np.zeros((3, 3)), np.ones((3, 3))])[None]
    np.testing.assert_array_equal(Picture(3, 3, 2).shown(batch), np.full((1, 3, 3), 0.5))
    assert Picture(3, 3, 1).shown(batch[:, :1]).shape == (1, 3, 3)
    assert Picture(1, 6, 3).shown(batch).shape == (1, 1, 6, 3)
