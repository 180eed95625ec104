"""What a graph puts into a slot is what the host finds there, whichever variables hold it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from recorder.adapters.keras.copies import SMALL, Copies
from recorder.analysis.kept import address

SHAPES = [((3, 4), "float32"), ((SMALL + 1,), "float32"), ((), "float32"), ((5,), "float64"), ((0, 2), "float32")]
POSITIONS = range(len(SHAPES))


@pytest.fixture
def tensors():
    return [keras.Variable(np.zeros(shape), dtype=dtype) for shape, dtype in SHAPES]


def values(seed):
    rng = np.random.default_rng(seed)
    return {i: np.asarray(rng.standard_normal(shape), dtype) for i, (shape, dtype) in enumerate(SHAPES)}


def assert_there(copies, expected, slot):
    held = copies.held(slot)
    for i in POSITIONS:
        np.testing.assert_array_equal(held.array(i), expected[i], strict=True)
        assert held.address(i) == address(held.array(i)) or not expected[i].size


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("slots", [1, 3])
def test_a_slot_keeps_what_was_put_last_of_each_tensor(tensors, slots, xla):
    copies, expected = Copies(tensors, slots), [values(slot) for slot in range(slots)]
    put = tf.function(lambda slot, put: copies.put(slot, dict(put)), autograph=False, jit_compile=xla)
    for slot in range(slots):
        put(tf.constant(slot, tf.int64), list(expected[slot].items()))
    some = {i: x for i, x in values(9).items() if i in (1, 2)}  # of one optimizer of two
    put(tf.constant(slots - 1, tf.int64), list(some.items()))
    expected[-1] |= some
    for slot in range(slots):
        assert_there(copies, expected[slot], slot)


def test_small_tensors_of_a_type_share_a_variable(tensors):
    assert [list(v.shape) for v in Copies(tensors, 2)._variables] == [[2, 13], [2, SMALL + 1], [2, 5]]
