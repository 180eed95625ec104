"""Which numbers a step or an epoch has: the loss, the learning rate, whatever the user passes, also late.

Names that first appear together make a group with rows of its own: what is given at every 100th step only, or from
step 500 on, costs no empty rows and makes no gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

from recorder.runfile.schema import Kind, Series

OWN = {"scalars", "events"}  # what a run has under these names


@dataclass(frozen=True)
class Group:
    """Names that are recorded together on one axis."""

    axis: str
    given: tuple[str, ...]  # as the user calls them
    names: tuple[str, ...]  # as they are recorded

    @cached_property
    def all(self) -> frozenset[str]:
        """What is given of it at most."""
        return frozenset(self.given)

    @property
    def series(self) -> Series:
        doc = "Numbers of each step." if self.axis.startswith("step") else "Numbers of each epoch."
        return Series(
            "scalars", Kind.SCALAR, "", doc, self.names, dtype="float64", item_dim="scalar", axis=self.axis,
            between=self.axis.startswith("epoch"),
        )  # fmt: skip


EACH_STEP = Group("step", ("step_time", "overhead_time"), ("step_time", "overhead_time"))  # whatever the loop gives


class Scalars:
    """The groups so far; `step` is the axis of what the first step gives, `epoch` of what the first epoch gives.

    No scalar is recorded under a name in `taken`; in a resumed run those of `before` (where -> given -> recorded) keep
    their names.
    """

    def __init__(self, taken: Iterable[str] = (), before: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._before = before or {}
        self._taken = {*OWN, *taken}.union(*(names.values() for names in self._before.values()))
        self._groups: dict[str, list[Group]] = {"step": [], "epoch": []}
        self._names: dict[str, dict[str, str]] = {"step": {}, "epoch": {}}  # given -> recorded

    def known(self, where: str) -> bool:
        """Whether anything was given there yet."""
        return bool(self._groups[where])

    def names(self, where: str) -> tuple[str, ...]:
        """The recorded names, in the order in which they first came."""
        return tuple(self._names[where].values())

    def recorded(self, where: str, given: Mapping[str, float]) -> dict[str, float]:
        """The same numbers under the names that they have in the run."""
        names = self._names[where]
        return {names[name]: value for name, value in given.items() if name in names}

    def new(self, where: str, given: Mapping[str, Any]) -> Group | None:
        """The group that these names make necessary, if any, to be declared before their row."""
        names = self._names[where]
        if names.keys() >= given.keys():
            return None
        fresh = tuple(name for name in given if name not in names)
        for name in fresh:
            names[name] = self._before.get(where, {}).get(name) or self._told_apart(where, name)
        groups = self._groups[where]
        axis = where if not groups else f"{where}_{len(groups) + 1}"
        groups.append(Group(axis, fresh, tuple(names[name] for name in fresh)))
        return groups[-1]

    def rows(self, where: str, given: Mapping[str, float]) -> dict[str, list[float]]:
        """{axis: (scalar,) values} of every group that has a value now; NaN for those of its names that have none."""
        rows, there = {}, given.keys()
        for group in self._groups[where]:
            if there >= group.all:
                rows[group.axis] = [*map(given.__getitem__, group.given)]
            elif not there.isdisjoint(group.given):
                rows[group.axis] = [given.get(name, nan) for name in group.given]
        return rows

    def _told_apart(self, where: str, name: str) -> str:
        """run.step(loss=...) and run.epoch(loss=...) are two things: the later one is told apart by its name."""
        while name in self._taken:
            name = f"{where}/{name}"
        self._taken.add(name)
        return name
