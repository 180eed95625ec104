"""How do gradients and weights get out of a compiled training step? Through variables that its graph writes.

Python does not run while a `tf.function` does, and under XLA no host callback does either. So the graph itself copies
what an update is about to use into variables of ours, and the host reads them when the call has returned. A call may
make several iterations (`steps_per_execution`): everything has a row for each. What is wanted is written into the
variable `slots` before: an update with no slot costs a comparison, nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

AHEAD = 200  # updates that are looked ahead to see how many of a block are wanted
NO_SLOT = -1


@dataclass(frozen=True)
class Iteration:
    """What the graph wrote down of one iteration."""

    stepped: np.ndarray  # (tensor,) bool: it was updated
    slot: int  # where gradients and weights are; NO_SLOT: they were not copied
    numbers: np.ndarray  # (column,) float32
    refused: bool  # an update was tried, but gradients were not finite


class Tape:
    """The variables of one recording; `begin`, `number`, `attempt` and `update` make graph, the rest is for the host.

    Iterations and updates count from 1, where an update is an iteration in which a tensor is updated. Row k of what is
    written down belongs to the iteration k modulo `block`.
    """

    def __init__(self, weights: Sequence[Any], numbers: Sequence[float], *, block: int, slots: int) -> None:
        self.block, self.slots = block, slots
        self._weights_of = list(weights)
        count = len(weights)
        with tf.init_scope():
            self._clock = _variable([1, 0, 0], tf.int64)  # iteration, updates, iteration of the last update
            self._slots = _variable(np.full(block, NO_SLOT), tf.int64)
            self._stamps = _variable(np.zeros((block, count)), tf.int64)  # the tensor's last update in the iteration
            self._tried = _variable(np.zeros(block), tf.int64)  # 2 k: tried in iteration k; 2 k + 1: and not refused
            self._numbers = _variable(np.tile(np.asarray(numbers, np.float32), (block, 1)), tf.float32)
            self._gradients = [_variable(tf.zeros((slots, *w.shape), w.dtype), w.dtype) for w in weights]
            self._weights = [_variable(tf.zeros((slots, *w.shape), w.dtype), w.dtype) for w in weights]
        self._table = [NO_SLOT] * block  # what `_slots` holds
        self._iteration, self._updates = 1, 0  # of the clock, when it was last read

    def fits(self, weights: Sequence[Any], *, block: int, slots: int, numbers: int) -> bool:
        """Whether this can serve another recording: graphs that were traced with it go on writing here."""
        same = len(weights) == len(self._weights_of) and all(map(lambda a, b: a is b, weights, self._weights_of))
        return same and self.block == block and self.slots >= slots and self._numbers.shape[1] == numbers

    # -- in the graph ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The next iteration of a block begins."""
        self._clock.assign_add([1, 0, 0])

    def number(self, column: int, value: Any) -> None:
        """Write one number of this iteration."""
        value = tf.reshape(tf.cast(tf.convert_to_tensor(value), tf.float32), [1])
        self._numbers.scatter_nd_update([[self._row(), column]], value)

    def attempt(self, *, refused: bool) -> None:
        """An update is tried, or (later in the same iteration) it is not refused."""
        stamp = 2 * self._clock[0] + (0 if refused else 1)
        self._tried.scatter_nd_update([[self._row()]], [stamp])

    def update(self, members: Sequence[tuple[int, Callable[[], Any]]]) -> tf.Tensor:
        """The tensors at these positions are about to be updated, with these gradients."""
        iteration, updates, last = tf.unstack(self._clock.read_value())
        updates += tf.cast(last != iteration, tf.int64)
        self._clock.assign(tf.stack([iteration, updates, iteration]))
        mine = np.zeros(len(self._weights_of), bool)
        mine[[i for i, _ in members]] = True
        row = iteration % self.block
        self._stamps.scatter_nd_update([[row]], tf.where(mine, updates, self._stamps[row])[None])
        slot = self._slots[updates % self.block]

        def copy() -> tf.Tensor:
            for i, gradient in members:
                weight = tf.convert_to_tensor(self._weights_of[i].value)
                dense = tf.cast(tf.convert_to_tensor(gradient()), weight.dtype)
                self._gradients[i].scatter_nd_update([[slot]], dense[None])
                self._weights[i].scatter_nd_update([[slot]], weight[None])
            return tf.constant(True)

        return tf.cond(slot != NO_SLOT, copy, lambda: tf.constant(False))

    def _row(self) -> tf.Tensor:
        return self._clock[0] % self.block

    # -- on the host ----------------------------------------------------------------------------------------------

    def want(self, wanted: Iterable[bool]) -> bool:
        """Of the coming updates, as many as a block may hold, copy these; whether there is room for all of them."""
        table, taken, enough = [NO_SLOT] * self.block, 0, True
        for ahead, one in enumerate(wanted):
            if one and taken == self.slots:
                enough = False
            elif one:
                table[(self._updates + 1 + ahead) % self.block] = taken
                taken += 1
        if table != self._table:
            self._slots.assign(table)
            self._table = table
        return enough

    def read(self) -> list[Iteration]:
        """The iterations since the last look; of a loop that does not go through `begin`, it is one."""
        now, updates, _ = (int(x) for x in self._clock.numpy())
        stamps, tried, numbers = self._stamps.numpy(), self._tried.numpy(), self._numbers.numpy()
        found = []
        for k in range(max(self._iteration + 1, now - self.block + 1), now + 1) or [now]:
            row = k % self.block
            stepped = stamps[row] > self._updates
            slot = self._table[stamps[row].max() % self.block] if stepped.any() else NO_SLOT
            found.append(Iteration(stepped, slot, numbers[row], bool(tried[row] == 2 * k)))
        if now == self._iteration:
            self._clock.assign_add([1, 0, 0])
            now += 1
        self._iteration, self._updates = now, updates
        return found

    @property
    def unread(self) -> bool:
        """Whether there were updates since the last look."""
        return bool(self._clock.numpy()[1] > self._updates)

    def copied(self, i: int, slot: int) -> tuple[np.ndarray, np.ndarray]:
        """-> weights and gradient of a tensor; views, to be dropped before training goes on."""
        return host_view(self._weights[i])[slot], host_view(self._gradients[i])[slot]

    def stop(self) -> None:
        """Graphs that go on writing here shall copy nothing."""
        self.want(())


def most_of_a_block(wanted: Sequence[bool], block: int) -> int:
    """How many updates of a block may be wanted: the most of so many neighbours, and the first of an epoch."""
    flags = np.asarray(wanted, int)
    most = int(np.convolve(flags, np.ones(block, int)).max(initial=0))
    return min(block, most + 1)


def host_view(variable: tf.Variable) -> np.ndarray:
    """The variable's memory as numpy; bfloat16 as uint16, and copied where numpy cannot see it."""
    value = variable.read_value()
    if value.dtype == tf.bfloat16:
        return value.numpy().view(np.uint16)
    return np.asarray(_Writable(np.asarray(memoryview(value))))


class _Writable:
    """An array that numpy takes for writable, so that compiled passes need no second form; nobody writes to it."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array  # keeps the memory
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _variable(value: Any, dtype: Any) -> tf.Variable:
    return tf.Variable(value, dtype=dtype, trainable=False)
