"""Of several processes that train one model together, which one writes the run?

Under torchrun every process runs the same script, and so every one calls `record`. The process group knows who is who;
it is looked up where torch has put it, and never imported.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from recorder.errors import RecordError, in_words
from recorder.recording.nowhere import Nowhere
from recorder.recording.resume import Start
from recorder.schedule import Moment


@dataclass(frozen=True)
class Place:
    """Where this process stands among those of the training."""

    rank: int = 0
    size: int = 1
    writer: int = 0  # the rank of the process that writes the run

    @property
    def writes(self) -> bool:
        return self.rank == self.writer

    @property
    def together(self) -> bool:
        return self.size > 1


def place(writer: int | None = 0) -> Place:
    """Where this process stands; with `writer=None` each process is a training of its own."""
    if writer is not None and (isinstance(writer, bool) or not isinstance(writer, int) or writer < 0):
        raise RecordError(f"record(rank={writer!r}): expected the rank of the process that writes, or None for each")
    distributed = sys.modules.get("torch.distributed")
    if writer is None or distributed is None or not (distributed.is_available() and distributed.is_initialized()):
        return Place()
    rank, size = distributed.get_rank(), distributed.get_world_size()
    if writer >= size:
        raise RecordError(f"record(rank={writer}): there are {size} processes, with ranks 0 to {size - 1}")
    return Place(rank, size, writer)


def hint() -> str:
    """What may have gone wrong where two processes want to write one run; "" in a training of one process."""
    if not os.environ.get("WORLD_SIZE", "1").isdigit() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return ""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return ""
    return (
        f"This is process {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']}: call "
        "torch.distributed.init_process_group() before record(...), and one of them writes the run"
    )


def beginning(start: Start, path: Path) -> str:
    """What the process that writes tells the others of the run, where all of them take part."""
    return json.dumps({"path": str(path), "moment": start.moment})


def refusal(problem: Exception) -> str:
    """What it tells them where there is no run."""
    return json.dumps({"refused": in_words(problem)})


def followed(told: str) -> tuple[Start, Nowhere]:
    """What another process makes of that; RecordError where there is no run."""
    found = json.loads(told)
    if "refused" in found:
        raise RecordError(f"the process that writes the run could not begin it: {found['refused']}")
    return Start(Moment(*found["moment"])), Nowhere(Path(found["path"]))
