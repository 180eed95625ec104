"""Who is killed by benchmarks/crash.py? Real trainings, packings and repairs, forked by a server that has torch loaded.

`python benchmarks/victim.py` answers one JSON line by another; which h5py it has depends on PYTHONPATH. A training says
what it appends before, and that it was acknowledged after, in a file of pickles that outlives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import nn  # noqa: E402

from recorder import each_epoch, every, record  # noqa: E402
from recorder.errors import LayerscopeError  # noqa: E402
from recorder.recording import naming  # noqa: E402
from recorder.runfile.pack import pack, repair  # noqa: E402
from recorder.runfile.reader import Run  # noqa: E402
from recorder.runfile.schema import Event, Series, State  # noqa: E402
from recorder.runfile.writer import RunWriter  # noqa: E402
from tui import summary  # noqa: E402

PER_EPOCH = 25
# An axis of each kind: each step, pairs, each epoch before and after an update; raw and packed chunks, counts, floats.
INSTRUMENTS = ["light", every(1, "gradient_norm"), each_epoch("weight_histogram")]
STEP, CLOSING = b".", b"c"


@dataclass(frozen=True)
class Plan:
    """One training, and when it dies: after so many steps (-1: once it is being closed), and then so many seconds."""

    path: str
    seed: int
    block_bytes: int = 1 << 13
    late_scalar: int = -1  # the step at which one comes, -1: never
    late_tensors: int = -1
    steps: int = 1 << 30
    kill_after: int = -1
    delay: float = 0.0


@dataclass(frozen=True)
class Found:
    """What is in a run, beside what was said of it."""

    acknowledged: int = 0  # rows
    numbers: int = 0  # that were compared
    lost: int = 0  # acknowledged rows of which any number is not there
    changed: int = 0  # numbers that are not what was appended
    invented: int = 0  # rows that nobody appended
    state: str = ""
    said: bool = False  # `layerscope info` tells how it ended, and at which step
    parts: int = 0
    error: str = ""  # it does not open


# -- the training ----------------------------------------------------------------------------------------------------


class Telling(RunWriter):
    """The run's writer, telling what it is given."""

    tell: Callable[..., None]

    def declare(self, *series: Series) -> None:
        super().declare(*series)
        for s in series:
            self.tell("declare", (s.axis, s.name), s.items)

    def append(self, axis: str, *, step: int, epoch: int, time: float, values: Mapping[str, Any]) -> None:
        self.tell("row", axis, step, values)
        super().append(axis, step=step, epoch=epoch, time=time, values=values)
        self.tell("acknowledged")

    def event(self, event: Event) -> None:
        self.tell("event", event.text)
        super().event(event)
        self.tell("acknowledged")


def train(plan: Plan, beat: int) -> None:
    """Record a training, a byte into `beat` after each step."""
    told = os.open(f"{plan.path}.told", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
    Telling.tell = staticmethod(lambda *what: os.write(told, pickle.dumps(what)))  # type: ignore[method-assign]
    naming.RunWriter = partial(Telling, block_bytes=plan.block_bytes)  # type: ignore[assignment, misc]
    torch.manual_seed(plan.seed)
    model: Any = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    images, labels = torch.randn(16, 8), torch.arange(16) % 4
    with record(model, plan.path, optimizer=optimizer, probe=images, instruments=INSTRUMENTS, progress=False) as run:
        for step in range(plan.steps):
            if step == plan.late_tensors:
                model.append(nn.Linear(4, 4))
                optimizer.add_param_group({"params": list(model[-1].parameters())})
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            late = {"late": step / 7} if 0 <= plan.late_scalar <= step else {}
            run.step(loss=loss, square=square(step), **late)
            os.write(beat, STEP)
            if step % PER_EPOCH == PER_EPOCH - 1:
                run.epoch(accuracy=step / 1000)
        os.write(beat, CLOSING)


def square(step: int) -> float:
    """A scalar that anyone can check."""
    return step * step + 0.25


# -- what the server does --------------------------------------------------------------------------------------------


def kill_training(plan: Plan) -> int:
    """The steps that it had done."""
    ours, theirs = os.pipe()
    child = forked(lambda: train(plan, theirs), ours)
    os.close(theirs)
    seen = b""
    while len(seen) <= plan.kill_after if plan.kill_after >= 0 else CLOSING not in seen:
        new = os.read(ours, 1 << 12)
        if not new:
            raise RuntimeError(f"the training ended by itself: {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
        seen += new
    time.sleep(plan.delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while new := os.read(ours, 1 << 12):
        seen += new
    os.close(ours)
    return seen.count(STEP)


def kill_work(work: Callable[[], object], delay: float | None) -> bool:
    """Do it in a child that is killed after a while (None: never); whether it came to its end."""
    child = forked(work)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError("it failed by itself")
    return code == 0


def forked(work: Callable[[], object], *closed: int) -> int:
    """The process that does it and ends."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for descriptor in closed:
                os.close(descriptor)
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def follow(path: str) -> dict[str, Any]:
    """Read a growing run until its process is dead: rows never become fewer, and are right at once."""
    looks, wrong, before = 0, 0, 0
    while not Path(path).exists() and not Path(path).with_suffix(".d").exists():
        time.sleep(0.001)
    run = opened(path)
    with run:
        while True:
            live = run.state is State.RECORDING
            time.sleep(0.001)  # the others want to run as well
            run.refresh()
            looks += 1
            if "square" in run:
                steps, values = run["square"].step, run["square"].values
                right = len(steps) >= before and np.array_equal(steps, np.arange(len(steps)))
                wrong += not (right and np.array_equal(values, square(steps)))
                before = len(steps)
            if not live:
                return {"looks": looks, "wrong": wrong}


def opened(path: str) -> Run:
    """As soon as there is anything: a folder is there before what is in it."""
    while True:
        with contextlib.suppress(LayerscopeError):
            return Run.open(path)
        time.sleep(0.001)


# -- what is left ----------------------------------------------------------------------------------------------------


def check(path: str, told: str) -> Found:
    """Compare every number in the run with what its training told in a file."""
    said = list(_told(Path(told)))
    try:
        with Run.open(path) as run:
            found = _compared(run, said)
            step = f"at step {run.last_step:,}" if run.last_step >= 0 else "before its first step"
            ended = f"{run.state} {step}" if run.state is State.KILLED else str(run.state)
            ended += f": {run.error}" if run.error else ""  # a copy of a run that goes on says so
        return replace(found, said=f" {ended}\n" in summary.of_path(Path(path)))
    except LayerscopeError as error:
        return Found(error=str(error), acknowledged=sum(what[0] == "acknowledged" for what in said))


def _told(path: Path) -> Iterator[tuple[Any, ...]]:
    the_end = (FileNotFoundError, EOFError, pickle.UnpicklingError)  # the last one may be half a sentence
    with contextlib.suppress(*the_end), open(path, "rb") as file:
        while True:
            yield pickle.load(file)


def _compared(run: Run, told: list[tuple[Any, ...]]) -> Found:
    rows: list[tuple[int, dict[tuple[str, str], Any]]] = []  # (step, number by series and item)
    texts: list[str] = []
    declared: dict[tuple[str, str], tuple[str, ...]] = {}
    certain, certain_texts = 0, 0
    for what, *rest in told:
        if what == "declare":
            place, items = rest
            declared[place] = items if rows else (*declared.get(place, ()), *items)
        elif what == "row":
            axis, step, values = rest
            rows.append((step, {}))
            for name, row in values.items():
                cells = row.items() if isinstance(row, Mapping) else zip(declared[axis, name], row, strict=True)
                rows[-1][1].update({(name, item): value for item, value in cells})
        elif what == "event":
            texts.append(*rest)
        else:
            certain, certain_texts = len(rows), len(texts)
    appended: dict[tuple[str, str], dict[int, Any]] = {}
    owner: dict[tuple[str, str, int], int] = {}
    lost: set[int] = set()
    for number, (step, values) in enumerate(rows):
        for (name, item), value in values.items():
            dtype = run.series[name].dtype if name in run.series else float
            appended.setdefault((name, item), {})[step] = np.asarray(value, dtype).tobytes()
            owner[name, item, step] = number
    numbers = changed = invented = 0
    for (name, item), expected in appended.items():
        has = name in run.series and item in run.series[name].items
        steps = run.clock(name, item).step.tolist() if has else []
        stored = dict(zip(steps, run.values(name, item), strict=True)) if has else {}
        for step, value in expected.items():
            numbers += step in stored
            if step not in stored:
                lost.add(owner[name, item, step])
            elif stored[step].tobytes() != value:
                changed += 1
        strange = (value for step, value in stored.items() if step not in expected)
        invented += sum(bool(np.nan_to_num(value).any()) for value in strange)  # others' rows: NaN here
    events = [event.text for event in run.events]
    lost = {number for number in lost if number < certain}
    missing = len(texts[:certain_texts]) - sum(text in events for text in texts[:certain_texts])
    invented += sum(text not in texts for text in events)
    return Found(certain + certain_texts, numbers, len(lost) + missing, changed, invented, str(run.state), False,
                 run.parts)  # fmt: skip


# -- the server ------------------------------------------------------------------------------------------------------

JOBS: Mapping[str, Callable[..., Any]] = {
    "train": lambda **plan: kill_training(Plan(**plan)),
    "follow": follow,
    "check": lambda path, told: asdict(check(path, told)),
    "repair": lambda path, delay: kill_work(lambda: repair(path), delay),
    "pack": lambda path, out, delay: kill_work(lambda: pack(opened(path).path, out), delay),
}


def warm() -> None:
    """Load what is compiled, once for all children; without a backward pass, whose threads no fork survives."""
    import tempfile

    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with (
        tempfile.TemporaryDirectory() as folder,
        record(model, f"{folder}/warm.h5", optimizer=optimizer, probe=torch.ones(4, 4), instruments=INSTRUMENTS,
               progress=False) as run,
    ):  # fmt: skip
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        run.step(loss=random.random())


def main() -> None:
    torch.set_num_threads(1)
    warm()
    print(json.dumps(h5py.__version__), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = JOBS[job.pop("do")](**job)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
