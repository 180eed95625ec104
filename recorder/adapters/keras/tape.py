"""How do gradients and weights get out of a compiled training step? Through variables that its graph writes.

Python does not run while a `tf.function` does, and under XLA no host callback does either. So the graph itself assigns
what an update is about to use to variables of ours, and the host reads them when the call has returned. A call may
make several iterations (`steps_per_execution`): everything has a row for each. What is wanted is written into the
variable `slots` before: an update with no slot costs a comparison, nothing is kept of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from recorder.adapters.keras.copies import Copies, Held, host_view

AHEAD = 200  # updates that are looked ahead to see how many of a block are wanted
NO_SLOT = -1


@dataclass(frozen=True)
class Iteration:
    """What the graph wrote down of one iteration."""

    stepped: np.ndarray  # (tensor,) bool: it was updated
    slot: int  # where gradients and weights are; NO_SLOT: they were not kept
    numbers: list[float]  # (column,)
    refused: bool  # an update was tried, but gradients were not finite


class Tape:
    """The variables of one recording; `begin`, `number`, `attempt` and `update` make graph, the rest is for the host.

    Iterations and updates count from 1, where an update is an iteration in which a tensor is updated. All that is small
    is in one variable, which is read at once; its float64 hold such counts exactly:

        log[k % block]   of iteration k: 2 k where an update was tried (2 k + 1: and not refused), the numbers, and for
                         each tensor the last update that it had
        log[block, :3]   the clock: iteration, updates, iteration of the last update
    """

    def __init__(self, weights: Sequence[Any], numbers: Sequence[float], *, block: int, slots: int) -> None:
        self.block, self.slots = block, slots
        self._weights_of = list(weights)
        self._first = 1 + len(numbers)  # column of the first tensor
        log = np.zeros((block + 1, self._first + len(weights)))
        log[:, 1 : self._first] = numbers
        log[block, :3] = 1, 0, 0
        with tf.init_scope():
            self._log = _variable(log, tf.float64)
            self._slots = _variable(np.full(block, NO_SLOT), tf.int64)
            self._copies = Copies([*weights, *weights], slots)  # and of the gradients, which are like them
        self._table = [NO_SLOT] * block  # what `_slots` holds
        self._iteration, self._updates = 1, 0  # of the clock, when it was last read

    def fits(self, weights: Sequence[Any], *, block: int, slots: int, numbers: int) -> bool:
        """Whether this can serve another recording: graphs that were traced with it go on writing here."""
        same = len(weights) == len(self._weights_of) and all(map(lambda a, b: a is b, weights, self._weights_of))
        return same and self.block == block and self.slots >= slots and self._first == 1 + numbers

    # -- in the graph ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The next iteration of a block begins."""
        self._log.scatter_nd_add([[self.block, 0]], [1.0])

    def number(self, column: int, value: Any) -> None:
        """Write one number of this iteration."""
        value = tf.reshape(tf.cast(tf.convert_to_tensor(value), tf.float64), [1])
        self._log.scatter_nd_update([[self._row(), 1 + column]], value)

    def attempt(self, *, refused: bool) -> None:
        """An update is tried that may be refused, or (later in the same iteration) it is not."""
        stamp = 2 * self._log[self.block, 0] + (0.0 if refused else 1.0)
        self._log.scatter_nd_update([[self._row(), 0]], [stamp])

    def update(self, members: Sequence[tuple[int, Callable[[], Any]]]) -> tf.Tensor:
        """The tensors at these positions are about to be updated, with these gradients."""
        iteration, updates, last = tf.unstack(self._log[self.block, :3])
        updates += tf.cast(last != iteration, tf.float64)
        self._log.scatter_nd_update([[self.block, 1], [self.block, 2]], tf.stack([updates, iteration]))
        mine = np.zeros(self._log.shape[1], bool)
        mine[[self._first + i for i, _ in members]] = True
        row = self._row()
        self._log.scatter_nd_update([[row]], tf.where(mine, updates, tf.gather(self._log, row))[None])
        slot = tf.gather(self._slots, 0 if self.block == 1 else tf.cast(updates, tf.int64) % self.block)

        def keep() -> tf.Tensor:
            weights = {i: tf.convert_to_tensor(self._weights_of[i].value) for i, _ in members}
            dense = {i: tf.cast(tf.convert_to_tensor(gradient()), weights[i].dtype) for i, gradient in members}
            self._copies.put(slot, weights | {self.gradient(i): g for i, g in dense.items()})
            return tf.constant(True)

        return tf.cond(slot != NO_SLOT, keep, lambda: tf.constant(False))

    def _row(self) -> int | tf.Tensor:
        """Of this iteration in the log."""
        return 0 if self.block == 1 else tf.cast(self._log[self.block, 0], tf.int64) % self.block

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
            self._slots.assign(table, read_value=False)
            self._table = table
        return enough

    def read(self) -> list[Iteration]:
        """The iterations since the last look; of a loop that does not go through `begin`, it is one."""
        log = host_view(self._log)
        now, updates = map(int, log[self.block, :2])
        found = []
        for k in range(max(self._iteration + 1, now - self.block + 1), now + 1) or [now]:
            row = log[k % self.block]
            tried, *numbers = row[: self._first].tolist()
            stepped = row[self._first :] > self._updates
            slot = self._table[int(row[self._first :].max()) % self.block] if stepped.any() else NO_SLOT
            found.append(Iteration(stepped, slot, numbers, tried == 2 * k))
        if now == self._iteration:
            self.begin()
            now += 1
        self._iteration, self._updates = now, updates
        return found

    @property
    def unread(self) -> bool:
        """Whether there were updates since the last look."""
        return bool(host_view(self._log)[self.block, 1] > self._updates)

    def held(self, slot: int) -> Held:
        """The copies of a slot: of tensor i its weights, and its gradient where `gradient(i)` says."""
        return self._copies.held(slot)

    def gradient(self, i: int) -> int:
        return len(self._weights_of) + i

    def stop(self) -> None:
        """Graphs that go on writing here shall copy nothing."""
        self.want(())


def bytes_of_a_slot(weights: Iterable[Any]) -> int:
    """Of a copy of each gradient and of each tensor."""
    return sum(2 * math.prod(w.shape) * tf.as_dtype(w.dtype).size for w in weights)


def slots_for(wants: Callable[[int], bool], block: int) -> int:
    """How many updates of a block may be wanted: the most of so many neighbours, and the first of an epoch."""
    flags = np.array([wants(k) for k in range(AHEAD + block)], int)
    most = int(np.convolve(flags, np.ones(block, int)).max(initial=0))
    return min(block, most + 1)


def _variable(value: Any, dtype: Any) -> tf.Variable:
    return tf.Variable(value, dtype=dtype, trainable=False)
