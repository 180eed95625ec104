"""What does the pass over a tensor remember from one update to the next, and how does that lie in memory?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from recorder.analysis import signs


class Flat(NamedTuple):
    """A tensor just before its update whose entries stand one behind the other in memory, as do its gradient's.

    Whoever gives the addresses holds on to the memory until the pass is made.
    """

    position: int  # among the run's tensors
    size: int
    dtype: np.dtype  # uint16 for bfloat16
    weight: int  # its address
    gradient: int


@dataclass(slots=True)
class Kept:
    """What the pass remembers of one tensor from one update to the next."""

    weights: np.ndarray  # (entry,) in the order of memory
    strides: tuple[int, ...] | None = None  # where these are not in the order of the axes
    valid: bool = False  # they are the weights before the last update
    planes: np.ndarray | None = None  # see `signs`
    signed: bool = False  # and these are of the last update's gradient
    gradient: np.ndarray | None = None  # see `turns`
    turned: bool = False  # and it is that of the last update
    change: np.ndarray | None = None
    changed: bool = False  # and it is that which led to the last update
    averages: tuple[np.ndarray, np.ndarray] | None = None  # of gradients and of weights up to the last update
    at: int = field(init=False)  # the address of the weights
    planes_at: int = 0
    averages_at: tuple[int, int] = (0, 0)
    before_at: tuple[int, int] = (0, 0)  # of gradient and change

    def __post_init__(self) -> None:
        self.at = address(self.weights)

    @classmethod
    def room_for(cls, weight: np.ndarray | Flat) -> Kept:
        return cls(np.empty(weight.size, weight.dtype), _strides(weight))

    def signs(self) -> np.ndarray:
        """The planes of the last update; empty ones where it was not seen."""
        if self.planes is None:
            self.planes = signs.planes_for(self.weights.size)
            self.planes_at = address(self.planes)
        elif not (self.valid and self.signed):
            self.planes.fill(0)
        return self.planes

    def room_for_turns(self) -> None:
        if self.gradient is None or self.change is None:
            self.gradient, self.change = self._two()
            self.before_at = address(self.gradient), address(self.change)

    def room_for_averages(self) -> None:
        gradient, weight = self.averages = self._two()
        self.averages_at = address(gradient), address(weight)

    def _two(self) -> tuple[np.ndarray, np.ndarray]:
        wide = np.float64 if self.weights.dtype == np.float64 else np.float32
        return np.empty(self.weights.size, wide), np.empty(self.weights.size, wide)

    def fits(self, weight: np.ndarray | Flat) -> bool:
        """Whether size, type and order of memory are still those of the room."""
        mine = self.weights
        return mine.size == weight.size and mine.dtype == weight.dtype and self.strides == _strides(weight)

    def like(self, weight: np.ndarray) -> np.ndarray:
        """The kept weights in the shape of `weight`, which they fit."""
        if self.strides is None:
            return self.weights.reshape(weight.shape)
        order = order_of_memory(weight)
        return self.weights.reshape([weight.shape[k] for k in order]).transpose(np.argsort(order))


def address(x: np.ndarray) -> int:
    """Where the first entry is."""
    return int(x.__array_interface__["data"][0])


def order_of_memory(x: np.ndarray) -> np.ndarray:
    """The axes from the longest stride to the shortest."""
    return np.argsort([-abs(stride) for stride in x.strides], kind="stable")


def _strides(weight: np.ndarray | Flat) -> tuple[int, ...] | None:
    return None if isinstance(weight, Flat) or weight.flags.c_contiguous else weight.strides
