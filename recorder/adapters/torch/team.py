"""How do the processes of one training tell each other something, without one ever waiting for another that is gone?

Through the store by which they found each other when the process group was made: some bytes under a name. Who sends
goes on at once. Who waits does so only until another says that it has stopped, or is seen to be gone, and for PATIENCE
at most, which is less than the training's own collectives have.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Sequence

from torch.distributed import distributed_c10d

from recorder.errors import RecordError
from recorder.runfile.lock import Holder

PATIENCE = 240.0  # seconds
GRACE = 2.0  # seconds, of a training that has failed: the others may be gone
LONGEST_PAUSE = 0.02  # seconds between two looks
LONG = 0.2  # seconds of waiting after which, and every so often, it is asked whether the others still run
GO = "go"
UNREAD = 8  # messages that may wait to be read

_numbers = itertools.count()  # of the trainings of a process; all its processes record them in the same order


class Team:
    """All processes of a training, of which one writes the run."""

    def __init__(self, *, rank: int, size: int, writer: int) -> None:
        self.rank, self.size, self.writer = rank, size, writer
        self.others = [r for r in range(size) if r != rank]
        self._name = f"layerscope/{next(_numbers)}"
        self._store = distributed_c10d._get_default_store()
        self._meetings = 0
        self._sent = 0
        self._read = 0
        self._stopped = False
        self._hurried = False
        self._apart = ""  # why there are no more meetings: who missed one is at another
        self._nearby: dict[int, Holder] = {}  # the others on this machine, from when they were first looked for
        self._store.set(self._key("process", rank), Holder.me().text)

    @property
    def leads(self) -> bool:
        """Whether this process writes the run."""
        return self.rank == self.writer

    def meet(self, what: str) -> None:
        """Go on when all are here: what follows is done by all or, with a RecordError, by none.

        Who comes last says "go"; whoever has waited too long says why not, unless "go" was faster. One answer stands.
        """
        if self._apart:
            raise RecordError(self._apart)
        self._meetings += 1
        here, answer = self._key("here", self._meetings), self._key("answer", self._meetings)
        self._store.set(f"{here}/{self.rank}", what)
        if self._store.add(here, 1) == self.size:
            self._store.compare_set(answer, "", self._agreed([f"{here}/{r}" for r in range(self.size)]))
        try:
            self._wait([answer], what, arriving=[f"{here}/{r}" for r in self.others])
        except RecordError as problem:
            self._store.compare_set(answer, "", str(problem))
        if (said := self._store.get(answer).decode()) != GO:
            self._apart = said
            raise RecordError(said)

    def send(self, content: bytes) -> None:
        """To the writer, who will `receive` it."""
        self._sent += 1
        if self._sent > UNREAD and self._store.check([self._key("sent", self._sent - UNREAD, self.rank)]):
            raise RecordError(f"process {self.writer} does not read what is recorded any more")
        self._store.set(self._key("sent", self._sent, self.rank), content)

    def receive(self) -> list[bytes]:
        """The next message of each other process."""
        self._read += 1
        keys = [self._key("sent", self._read, r) for r in self.others]
        self._wait(keys, "the numbers of a step")
        found = self._store.multi_get(keys)
        for key in keys:
            self._store.delete_key(key)
        return [bytes(one) for one in found]

    def tell(self, text: str) -> None:
        """To all others, once, who `hear` it."""
        self._store.set(self._key("told"), text)

    def hear(self) -> str:
        """What the writer told."""
        self._wait([self._key("told")], "the beginning of the run")
        return self._store.get(self._key("told")).decode()

    def hurry(self) -> None:
        """Wait for nobody any more, but for what may be on its way."""
        self._hurried = True

    def stop(self) -> None:
        """Say that nothing more comes from here."""
        if not self._stopped:
            self._stopped = True
            with contextlib.suppress(Exception):  # the store may be gone
                self._store.set(self._key("stopped"), f"process {self.rank} records no more")

    def _key(self, *parts: object) -> str:
        return "/".join(map(str, (self._name, *parts)))

    def _wait(self, keys: Sequence[str], what: str, *, arriving: Sequence[str] = ()) -> None:
        patience, pause = GRACE if self._hurried else PATIENCE, 2e-5
        now = time.monotonic()
        until, doubt = now + patience, now + LONG
        while not self._store.check(list(keys)):
            if self._store.check([self._key("stopped")]) and not self._store.check(list(keys)):
                raise RecordError(f"{what}: {self._store.get(self._key('stopped')).decode()}")
            if (now := time.monotonic()) > doubt:
                doubt = now + LONG
                self._look_for_the_killed()
            if now > until:
                raise RecordError(
                    f"{what}: {self._missing(arriving or keys)} did not come within {patience:g} s. The tensors are "
                    f"spread over {self.size} processes, so record(...), run.step(), run.epoch() and run.checkpoint() "
                    "have to be called on each of them; one of them writes"
                )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _look_for_the_killed(self) -> None:
        """Who was killed could not say that it stops; the others on its machine see it, and say so for it."""
        keys = [self._key("process", r) for r in self.others]
        if not self._nearby and self._store.check(keys):
            found = zip(self.others, map(Holder.of, self._store.multi_get(keys)), strict=True)
            self._nearby = {r: who for r, who in found if who is not None and who.running is not None}
        for r, who in self._nearby.items():
            if not who.running:
                self._store.compare_set(self._key("stopped"), "", f"process {r} has ended")

    def _agreed(self, keys: Sequence[str]) -> str:
        """GO where all came for the same; two kinds of collectives at once would never end."""
        reasons = [self._store.get(key).decode() for key in keys]
        if len(set(reasons)) == 1:
            return GO
        told = ", ".join(f"process {rank} is at {reason}" for rank, reason in enumerate(reasons))
        return (
            f"{told}: call run.epoch() and run.checkpoint() on every process, and give record(...) the same arguments"
        )

    def _missing(self, keys: Sequence[str]) -> str:
        ranks = [key.rpartition("/")[2] for key in keys if not self._store.check([key])]
        return "process " + ", ".join(r if r.isdigit() else str(self.writer) for r in ranks)
