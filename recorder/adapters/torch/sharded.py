"""How is a training watched whose tensors are spread over several processes (FSDP2, tensor parallelism)?

Each process measures its parts in its own pass, and sends what adds up, some numbers a tensor, to the one that writes;
which reads them an iteration later. All follow the same schedules, so nobody has to ask. What needs all of them at the
same moment (the probe's forward pass, the weights of a checkpoint) is begun when all are there, and else not at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recorder.adapters import parts
from recorder.adapters.torch import shards
from recorder.adapters.torch.team import Team
from recorder.errors import RecordError
from recorder.reading import Collected, Facts, Plan, Probed, Statistic

if TYPE_CHECKING:
    from recorder.adapters.torch.adapter import TorchAdapter

HEADER = 3  # numbers: which columns, of how many tensors, whether tensors were updated several times
ORDER = {statistic: k for k, statistic in enumerate(Statistic)}


class Sharded:
    """One process of such a training; see `recorder.reading.Adapter` and `Together`."""

    def __init__(self, inner: TorchAdapter, *, rank: int, size: int, writer: int) -> None:
        self._inner = inner
        self._team = Team(rank=rank, size=size, writer=writer)
        self.leads = self._team.leads
        self.lag = inner.lag + int(self.leads)  # by then the others have sent theirs
        self._met = False
        self._before: Mapping[Statistic, np.ndarray] = {}  # the table of the update before
        self._state: Any = None

    def facts(self) -> Facts:
        if not self._met:
            self._team.meet("record(...)")
            self._met = True
        return replace(self._inner.facts(), spread=True)

    def tell(self, text: str) -> None:
        """To the others, who wait for it in `hear`."""
        self._team.tell(text)

    def hear(self) -> str:
        """What the process that writes told."""
        return self._team.hear()

    def hurry(self) -> None:
        """Wait for no process any more that may be gone."""
        self._team.hurry()

    def attach(self, plan: Callable[[], Plan]) -> None:
        self._inner.attach(lambda: parts.completed(plan()))

    def detach(self) -> None:
        self._inner.detach()
        self._team.stop()

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        found, several = self._inner.collect(scalars), self._inner.several
        return lambda: self._joined(found(), several=several)

    def read(self, plan: Plan) -> Collected:
        return self._joined(self._inner.read(parts.completed(plan)))

    def probe(self, name: str = "") -> Probed:
        self._team.meet(f"the forward pass of the probe {name!r}")
        return self._inner.probe(name)

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        return self._inner.inputs(name)

    def augment(self) -> None:
        self._inner.augment()

    def gather(self) -> None:
        """Take the whole weights from all processes, for `save`."""
        self._team.meet("a checkpoint")
        self._state = self._inner.state(keep=self.leads)

    def save(self, path: Path) -> None:
        torch.save(self._state, path)
        self._state = None

    def model(self) -> Any:
        return self._inner.model()

    def watch(self, optimizer: Any) -> None:
        """Optimizers that come with a phase."""
        self._inner.watch(optimizer)

    def take_seconds(self) -> float:
        """Seconds spent inside optimizer steps since the last call."""
        return self._inner.take_seconds()

    def _joined(self, found: Collected, *, several: bool = False) -> Collected:
        """The rows of whole tensors where this process writes; elsewhere they are sent, and none is left."""
        if not found.table:
            return found
        table = {statistic: found.table[statistic] for statistic in sorted(found.table, key=ORDER.__getitem__)}
        counted = found.stepped & self._speaks(len(found.stepped))
        own = parts.sums(table, counted, self._before)
        self._before = table
        header = np.array([_digest(table), len(counted), several], np.float64)
        content = np.concatenate([header, found.stepped.astype(np.float64), *(c.ravel() for c in own.values())])
        if not self.leads:
            self._team.send(content.tobytes())
            return found._replace(table={}, stepped=np.zeros_like(found.stepped), norms_before=None)
        messages = [np.frombuffer(one, np.float64) for one in self._team.receive()]
        for rank, message in zip(self._team.others, messages, strict=True):
            if len(message) != len(content) or (message[:HEADER] != header).any():
                raise RecordError(
                    f"process {rank} measured something else than process {self._team.rank} at this step: give "
                    "record(...) the same arguments, and call run.step() and run.epoch() on every process"
                )
        total = np.sum([content, *messages], axis=0)[HEADER:]
        stepped, numbers = total[: len(counted)] > 0, total[len(counted) :]
        ends = np.cumsum([column.size for column in own.values()])
        columns = zip(own, np.split(numbers, ends[:-1]), strict=True)
        whole = parts.wholes({s: column.reshape(own[s].shape) for s, column in columns}, stepped)
        if several:  # the angles are those with an update whose length is not known here
            whole |= {s: np.full(len(stepped), np.nan) for s in parts.ANGLES if s in whole}
        return found._replace(table=whole, stepped=stepped, norms_before=None)  # which are of parts

    def _speaks(self, tensors: int) -> np.ndarray:
        """(tensor,) bool: whether this process counts for its part"""
        parameters = list(self._inner.parameters)[:tensors]
        return np.array([shards.counts_here(p, first=self._team.rank == 0) for p in parameters], bool)


def _digest(table: Mapping[Statistic, np.ndarray]) -> int:
    """Which columns these are, as a number that float64 holds."""
    return zlib.crc32(",".join(statistic.value for statistic in table).encode())
