"""What a graph writes down it writes wherever it stands in a block, compiled once."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from recorder.adapters.keras.tape import NO_SLOT, Tape


def written(block):
    """A tape, the graph of an iteration that updates both of its weights, and what that needs."""
    weights = [keras.Variable(np.arange(6.0)), keras.Variable(np.ones((2, 2)))]
    tape = Tape(weights, [np.nan], block=block, slots=min(block, 2))

    @tf.function(autograph=False, jit_compile=True)
    def iteration(loss):
        tape.begin()
        tape.number(0, loss)
        tape.update([(i, lambda w=w: loss * w) for i, w in enumerate(weights)])

    return tape, iteration, weights


@pytest.mark.parametrize("block", [1, 3])
def test_what_is_wanted_of_each_iteration_is_kept(block):
    tape, iteration, weights = written(block)
    for first in range(0, 6, block):
        tape.want([k in (0, 2) for k in range(block)])
        for k in range(block):
            iteration(tf.constant(float(first + k)))
        found = tape.read()
        assert [float(one.numbers[0]) for one in found] == [first + k for k in range(block)]
        assert [one.slot != NO_SLOT for one in found] == [k in (0, 2) for k in range(block)]
        for k in range(0, block, 2):
            held = tape.held(found[k].slot)
            for i, weight in enumerate(weights):
                np.testing.assert_array_equal(held.array(i), weight.numpy())
                np.testing.assert_array_equal(held.array(tape.gradient(i)), (first + k) * weight.numpy())


def test_no_iteration_of_a_block_is_compiled_anew():
    """XLA compiles for each number with which a slice begins; only constants may be one."""
    _, iteration, _ = written(3)
    graph = iteration.get_concrete_function(tf.TensorSpec((), tf.float32)).graph.as_graph_def()
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        constant = {node.name for node in nodes if node.op == "Const"}
        begins = [node.input[1].split(":")[0] for node in nodes if node.op in ("StridedSlice", "Slice")]
        assert constant.issuperset(begins)
