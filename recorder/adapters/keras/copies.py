"""Where do the copies lie that a graph makes of tensors? Small ones of a type one behind the other, in one variable.

A variable costs the graph an assignment and the host a read, however few entries it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from recorder.analysis.kept import address

SMALL = 1 << 15  # entries; to copy more of them takes longer than to assign and to read one variable more


class Place(NamedTuple):
    """Where in a slot the copy of a tensor lies."""

    variable: int
    entries: slice  # of the variable's row
    offset: int  # bytes before them
    shape: tuple[int, ...]


class Copies:
    """Room for a copy of each tensor in each of some slots. `put` makes graph, `held` is for the host."""

    def __init__(self, tensors: Sequence[Any], slots: int) -> None:
        self._slots = slots
        self._groups = _groups(tensors)  # the tensors that each variable has, by position
        self._places: dict[int, Place] = {}
        self._variables = []
        for k, group in enumerate(self._groups):
            shapes, dtype = [tuple(tensors[i].shape) for i in group], tf.as_dtype(tensors[group[0]].dtype)
            ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
            for i, shape, start, end in zip(group, shapes, [0, *ends], ends, strict=False):
                self._places[i] = Place(k, slice(start, end), start * dtype.size, shape)
            self._variables.append(tf.Variable(tf.zeros((slots, ends[-1]), dtype), trainable=False))

    def put(self, slot: tf.Tensor, tensors: Mapping[int, tf.Tensor]) -> None:
        """Copy these tensors, by position; the slot keeps what it has of the others."""
        for group, variable in zip(self._groups, self._variables, strict=True):
            if tensors.keys().isdisjoint(group):
                continue
            parts = dict(tensors)
            if missing := [i for i in group if i not in tensors]:
                there = tf.gather(variable, slot)
                parts |= {i: there[self._places[i].entries] for i in missing}
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

    def held(self, slot: int) -> Held:
        """What a slot has, to be dropped before training goes on."""
        return Held([self._row(v, slot) for v in self._variables], self._places)

    def _row(self, variable: tf.Variable, slot: int) -> np.ndarray:
        return host_view(variable)[0] if self._slots == 1 else on_host(tf.gather(variable, slot))


class Held:
    """Copies where they lie: each as an array, or the address of its first entry, the others one behind the other."""

    def __init__(self, rows: Sequence[np.ndarray], places: Mapping[int, Place]) -> None:
        self._rows, self._places = rows, places
        self._at = [address(row) for row in rows]

    def array(self, i: int) -> np.ndarray:
        place = self._places[i]
        return self._rows[place.variable][place.entries].reshape(place.shape)

    def address(self, i: int) -> int:
        place = self._places[i]
        return self._at[place.variable] + place.offset


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
