"""Where do the copies lie that a graph makes of tensors? Small ones of a type one behind the other, in one variable.

A variable costs the graph an assignment and the host a read, however few entries it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

SMALL = 1 << 15  # entries; to copy more of them takes longer than to assign and to read one variable more


class Copies:
    """Room for a copy of each tensor in each of some slots. `put` makes graph, `of` is for the host."""

    def __init__(self, tensors: Sequence[Any], slots: int) -> None:
        self._slots = slots
        self._shapes = [tuple(t.shape) for t in tensors]
        self._groups = _groups(tensors)  # the tensors that each variable has, by position
        self._places: dict[int, tuple[int, slice]] = {}  # of a tensor: its variable, and where there
        self._variables = []
        for k, group in enumerate(self._groups):
            ends = np.cumsum([math.prod(self._shapes[i]) for i in group]).tolist()
            self._places |= {i: (k, slice(a, b)) for i, a, b in zip(group, [0, *ends], ends, strict=False)}
            zeros = tf.zeros((slots, ends[-1]), tensors[group[0]].dtype)
            self._variables.append(tf.Variable(zeros, trainable=False))

    def put(self, slot: tf.Tensor, tensors: Mapping[int, tf.Tensor]) -> None:
        """Copy these tensors, by position; the slot keeps what it has of the others."""
        for group, variable in zip(self._groups, self._variables, strict=True):
            if tensors.keys().isdisjoint(group):
                continue
            parts = dict(tensors)
            if missing := [i for i in group if i not in tensors]:
                there = tf.gather(variable, slot)
                parts |= {i: there[self._places[i][1]] for i in missing}
            row = [tf.reshape(parts[i], [1, -1]) for i in group]
            self._assign(variable, slot, row[0] if len(row) == 1 else tf.concat(row, 1))

    def _assign(self, variable: tf.Variable, slot: tf.Tensor, row: tf.Tensor) -> None:
        """A single slot takes the row's own memory: of a large gradient nothing is copied, of weights what TensorFlow
        then copies by itself, as it updates no memory that somebody else has.
        """
        if self._slots == 1:
            variable.assign(row)
        else:
            variable.scatter_nd_update([[slot]], row)

    def of(self, positions: Iterable[int], slot: int) -> list[np.ndarray]:
        """The copies of these tensors; views, to be dropped before training goes on."""
        rows: dict[int, np.ndarray] = {}
        found = []
        for i in positions:
            k, place = self._places[i]
            if k not in rows:
                rows[k] = self._row(self._variables[k], slot)
            found.append(rows[k][place].reshape(self._shapes[i]))
        return found

    def _row(self, variable: tf.Variable, slot: int) -> np.ndarray:
        return host_view(variable)[0] if self._slots == 1 else on_host(tf.gather(variable, slot))


def _groups(tensors: Sequence[Any]) -> list[list[int]]:
    """Positions: the small tensors of each type, and each large one by itself."""
    groups: dict[Any, list[int]] = {}
    for i, t in enumerate(tensors):
        dtype = tf.as_dtype(t.dtype)
        groups.setdefault(dtype if math.prod(t.shape) <= SMALL else (dtype, i), []).append(i)
    return list(groups.values())


def host_view(variable: tf.Variable) -> np.ndarray:
    """The variable's memory as numpy; bfloat16 as uint16, and copied where numpy cannot see it."""
    return on_host(read(variable))


def read(variable: tf.Variable) -> tf.Tensor:
    """What `read_value` gives, in a quarter of its time."""
    return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)


def on_host(tensor: tf.Tensor) -> np.ndarray:
    """The same of a tensor."""
    if tensor.dtype == tf.bfloat16:
        return tensor.numpy().view(np.uint16)
    return np.asarray(_Writable(np.asarray(memoryview(tensor))))


class _Writable:
    """An array that numpy takes for writable, so that compiled passes need no second form; nobody writes to it."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array  # keeps the memory
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
