"""Signs and the near-zero set from one update to the next: exact integers, on the edges too."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis import signs, statistics
from recorder.analysis.statistics import Kept, Table
from tests.instruments.readings import sign_counts

TAU = (0.5, 0.25)
DTYPES = [np.float16, np.float32, np.float64, np.uint16]  # uint16: the bits of bfloat16
EDGES = [
    0.0,
    -0.0,
    0.25,
    -0.25,
    0.5,
    -0.5,
    0.50390625,
    -0.50390625,
    1.0,
    -1.0,
    2.0,
    -2.0,
    math.inf,
    -math.inf,
    math.nan,
]


@pytest.fixture(params=["compiled", "numpy"])
def passes(request, monkeypatch):
    """Both passes, one after the other."""
    if request.param == "numpy":
        monkeypatch.setattr(statistics, "_compiled", lambda: None)
    return request.param


def stored(numbers, dtype) -> np.ndarray:
    if dtype != np.uint16:
        return np.array(numbers, dtype)
    return (np.array(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)


class Training:
    """One tensor, update after update."""

    def __init__(self, *, tau=TAU) -> None:
        self.table = Table(signs.NAMES, 1, tau=tau)
        self.kept: Kept | None = None

    def step(self, gradient: np.ndarray, weight: np.ndarray, *, keep: bool = True, **options) -> dict[str, int]:
        if self.kept is None or not self.kept.fits(weight):
            self.kept = Kept.room_for(weight)
        self.table.measure(0, gradient, weight, kept=self.kept, keep=keep, keep_signs=keep, **options)
        return {name: int(column[0]) for name, column in self.table.columns().items()}


def naive(g, w, g_before=None, w_before=None) -> dict[str, int]:
    return sign_counts(g, w, g_before, w_before, TAU)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_the_integers_are_those_of_a_loop_over_entries(dtype, data):
    size = data.draw(st.one_of(st.integers(0, 70), st.sampled_from([127, 128, 129])))
    numbers = st.lists(st.sampled_from(EDGES), min_size=size, max_size=size)
    steps = [(data.draw(numbers), data.draw(numbers)) for _ in range(3)]
    compiled, plain = Training(), Training()
    plain.table._compiled = None
    before = None, None
    for g, w in steps:
        expected = naive(g, w, *before)
        for training in (compiled, plain):
            assert training.step(stored(g, dtype), stored(w, dtype)) == expected
        np.testing.assert_array_equal(compiled.kept.planes, plain.kept.planes)
        before = g, w


@pytest.mark.parametrize("size", [63, 64, 4095, 4096, 4161, 70_001])
def test_sizes_around_the_words_blocks_and_portions(passes, size):
    rng = np.random.default_rng(size)
    training, before = Training(), (None, None)
    for _ in range(3):
        g, w = (rng.choice(EDGES, size).astype(np.float32) for _ in range(2))
        assert training.step(g, w) == naive(g.tolist(), w.tolist(), *before)
        before = g.tolist(), w.tolist()


def test_a_parabola_has_its_minimum_passed_once_and_its_hill_its_maximum(passes):
    training = Training()
    curvature = np.array([1.0, -1.0, 1.0])  # a valley, a hill, a valley that is not crossed
    for w, expected in (([-1.0, -1.0, 1.0], (0, 0)), ([0.5, 0.5, 0.5], (1, 1)), ([0.25, 0.25, 0.25], (0, 0))):
        found = training.step(curvature * w, np.array(w))
        assert (found["minima"], found["maxima"]) == expected
        assert found["sign_flips"] == sum(expected)


def test_a_flip_where_the_weight_stood_still_is_neither(passes):
    training = Training()
    training.step(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    found = training.step(np.array([-1.0, -1.0]), np.array([-0.0, 1e-300]))
    assert (found["sign_flips"], found["minima"], found["maxima"]) == (2, 0, 1)


def test_the_boundary_is_near_zero_and_the_next_number_is_not(passes):
    for dtype in (np.float32, np.float64):
        tau = dtype(1e-5), dtype(1e-7)
        g = np.array([tau[0], -tau[0], np.nextafter(tau[0], dtype(1)), tau[1], np.nextafter(tau[1], dtype(1))], dtype)
        found = Training(tau=signs.TAU).step(g, g)
        assert (found["near_zero"], found["near_zero_tight"]) == (4, 1)


def test_flips_of_the_smallest_numbers_do_not_underflow(passes):
    training, tiny = Training(), np.array([5e-324])
    training.step(tiny, np.array([0.0]))
    assert training.step(-tiny, tiny)["near_zero_maxima"] == 1


def test_what_was_not_seen_is_not_compared(passes):
    g, w = np.array([1.0, 0.0]), np.ones(2)
    training = Training()
    first = training.step(g, w)
    assert first["compared"] == 0
    assert first["near_zero"] == 1
    training.step(-g, w, keep=False)  # seen itself, but it leaves nothing
    assert training.step(g, w)["compared"] == 0
    assert training.step(g, w)["compared"] == 2
    training.kept.valid = False  # an update passed by
    again = training.step(-g, w)
    assert again["compared"] == again["sign_flips"] == again["near_zero_retained"] == 0
    assert training.step(g, w)["sign_flips"] == 1


def test_keeping_without_counting(passes):
    g, w, kept = np.array([1.0, 0.0]), np.ones(2), Kept.room_for(np.ones(2))
    Table((), 1).measure(0, g, w, kept=kept, keep=True, keep_signs=True)
    table = Table(signs.NAMES, 1, tau=TAU)
    table.measure(0, -g, w, kept=kept, keep=True)
    assert table.columns()["sign_flips"].tolist() == [1]
    assert not kept.signed


def test_a_sparse_or_missing_gradient_has_no_signs(passes):
    training = Training()
    training.step(np.ones(5), np.ones(5))
    sparse = training.step(np.array([-1.0]), np.ones(5), zeros=4)
    assert set(sparse.values()) == {0}
    assert training.step(np.ones(5), np.ones(5))["compared"] == 0
    assert set(training.step(None, np.ones(5)).values()) == {0}


def test_any_strides_and_mixed_precisions(passes):
    rng = np.random.default_rng(0)
    order = lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)  # noqa: E731  channels last
    for gradient_type in (np.float32, np.float64):
        training, before = Training(), (None, None)
        for _ in range(2):
            g, w = rng.choice(EDGES, (6, 5, 7)).astype(gradient_type), rng.choice(EDGES, (6, 5, 7)).astype(np.float32)
            flat = g.ravel().tolist(), w.ravel().tolist()
            assert training.step(g, order(w)) == naive(*flat, *before)
            before = flat


def test_one_element(passes):
    training = Training()
    training.step(np.array(-1.0), np.array(0.0))
    assert training.step(np.array(1.0), np.array(1.0)) == naive([1.0], [1.0], [-1.0], [0.0])
