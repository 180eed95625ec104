"""What is due at the coming moments? Found for several of them at once, and kept until it may be otherwise.

After a training step the processor's caches hold the network: to ask everybody at each step takes several times what it
takes in a row. It needs that a schedule depends on nothing but the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

MOST = 32  # moments that are looked at together

Found = TypeVar("Found")


class Ahead(Generic[Found]):
    """What `find` says of each moment; first of one of them, then of twice as many each time, up to MOST."""

    def __init__(self, find: Callable[[int], Found]) -> None:
        self._find = find
        self._known: dict[int, Found] = {}
        self._several = 1

    def at(self, moment: int) -> Found:
        if moment not in self._known:
            self._known = {k: self._find(k) for k in range(moment, moment + self._several)}
            self._several = min(2 * self._several, MOST)
        return self._known[moment]

    def forget(self) -> None:
        """What was found holds no more."""
        self._known, self._several = {}, 1
