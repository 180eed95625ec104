"""What does a power cut leave of a run? Tear its unsynced pages, or cut its files, at every moment of a recording.

python benchmarks/torn.py [CASES]

After a SIGKILL the kernel still writes what it was given; after a power cut it does not. A short run is recorded, and
every state of its files kept: what was last synced, and what was written since. A torn image of it has each 4 kB page
as it is, or as it was at any moment since the last fsync of its file, or not at all; a cut one ends anywhere.
It must open to whole prefixes of what was appended, none shorter than what was synced, or be refused with one sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from recorder.errors import RunFileError  # noqa: E402
from recorder.runfile.log import Block  # noqa: E402
from recorder.runfile.pack import repair  # noqa: E402
from recorder.runfile.reader import Run  # noqa: E402
from recorder.runfile.schema import Event, Kind, Series  # noqa: E402
from recorder.runfile.writer import RunWriter  # noqa: E402
from recorder.view import Window  # noqa: E402
from tests.runfile.runs import ALL, PER_EPOCH, START, append, histogram, norms, raw  # noqa: E402

PAGE = 4096
OUT = Path(__file__).parent / "results" / "torn.json"
STEPS, LATE = 90, 35  # steps of the run, and that at which a part begins
DEAD = b'{"host": "", "pid": 0, "namespace": ""}'
LATE_SERIES = Series("scalars", Kind.SCALAR, "", "", ("late",), dtype="float64", item_dim="scalar", axis="step")
Image = Mapping[str, bytes]  # file -> content


@dataclass(frozen=True)
class Moment:
    """The files at one moment: by name, as they were at their last fsync and at each moment since."""

    files: Mapping[str, tuple[bytes, ...]]
    durable: Mapping[tuple[int, str], int]  # (volume, axis) -> rows whose log is gone
    appended: int  # steps

    def image(self) -> Image:
        """What a SIGKILL leaves."""
        return {name: versions[-1] for name, versions in self.files.items()}

    def torn(self, chance: random.Random) -> Image:
        """What a power cut leaves."""
        mode = chance.choice((_half, _half, _any))
        return {name: _torn(versions, chance, mode) for name, versions in self.files.items()}

    def cut(self, chance: random.Random) -> Image:
        """One of its files ends early, or is lost."""
        image = dict(self.image())
        name = chance.choice(sorted(image))
        at = chance.randrange(len(image[name]) + 1)
        return image | {name: image[name][:at]}


def _half(chance: random.Random, last: int) -> int:
    return chance.choice((0, last))


def _any(chance: random.Random, last: int) -> int:
    return chance.randrange(last + 1)


def _torn(versions: tuple[bytes, ...], chance: random.Random, pick: Callable[[random.Random, int], int]) -> bytes:
    last = len(versions) - 1
    size = len(versions[pick(chance, last)]) if chance.random() < 0.5 else len(versions[last])
    pages = (versions[pick(chance, last)][at : at + PAGE].ljust(PAGE, b"\0") for at in range(0, size, PAGE))
    return b"".join(pages)[:size]


class Film:
    """Records every state of the files in a folder, while HDF5 and the writer change them."""

    def __init__(self, folder: Path) -> None:
        self.moments: list[Moment] = []
        self.appended = 0
        self._folder = folder
        self._files: dict[int, tuple[bytes, ...]] = {}  # inode -> contents since its last fsync
        self._durable: dict[tuple[int, str], int] = {}
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def rolling(self) -> Iterator[None]:
        """Look after each call that changes a file."""
        with contextlib.ExitStack() as stack:
            for owner, name in (
                (h5py.File, "flush"), (h5py.File, "close"), (h5py.Dataset, "resize"), (h5py.Dataset, "__setitem__"),
                (os, "link"), (os, "rename"), (os, "replace"), (os, "unlink"),
            ):  # fmt: skip
                stack.enter_context(mock.patch.object(owner, name, self._watched(getattr(owner, name))))
            stack.enter_context(mock.patch.object(os, "fsync", self._synced))
            stack.enter_context(mock.patch.object(Block, "discard", self._discarded(Block.discard)))
            yield
        self.look()

    def look(self) -> None:
        """Keep this moment, if it differs from the last one."""
        with self._lock:
            files, seen = {}, set[int]()
            for path in sorted(p for p in self._folder.rglob("*") if p.is_file()):
                inode, content = path.stat().st_ino, path.read_bytes()
                known = self._files.get(inode, (b"",))
                self._files[inode] = known if known[-1] == content else (*known, content)
                files[str(path.relative_to(self._folder))] = self._files[inode]
                seen.add(inode)
            self._files = {inode: self._files[inode] for inode in seen}  # the number of one that went comes again
            for name in [name for name in files if name.endswith("/lock")]:
                files[name] = (DEAD,)
            if not self.moments or self.moments[-1].files != files:
                self.moments.append(Moment(files, dict(self._durable), self.appended))

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            with self._lock:  # nothing else changes while a moment is looked at
                try:
                    return call(*args, **kwargs)
                finally:
                    self.look()

        return watched

    def _synced(self, descriptor: int) -> None:
        """In place of fsync: from here on the file is on the disk as it is, which need not happen."""
        self.look()
        with self._lock:
            inode = os.fstat(descriptor).st_ino
            if inode in self._files:
                self._files[inode] = self._files[inode][-1:]
        self.look()

    def _discarded(self, discard: Callable[[Block], None]) -> Callable[[Block], None]:
        def discarded(block: Block) -> None:
            discard(block)
            with self._lock:
                _, number, axis, first = block.path.name.split("-")
                self._durable[int(number), axis] = int(first) + block.count
            self.look()

        return discarded


def film(*, block_bytes: int = 1 << 10) -> list[Moment]:
    """A short run in blocks of a few rows, with a part and an event, from its first file to its last."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roll = Film(folder)
        with roll.rolling():
            writer = RunWriter(folder / "run.h5", meta={}, block_bytes=block_bytes)
            writer.declare(*ALL)
            for step in range(STEPS):
                if step == LATE:
                    writer.event(Event("phase", "late", step, step // PER_EPOCH, START + step))
                    writer.declare(LATE_SERIES)
                append(writer, [step])
                if step >= LATE:
                    clock = {"step": step, "epoch": step // PER_EPOCH, "time": START + step}
                    writer.append("step", **clock, values={"scalars": {"late": step / 3}})
                roll.appended = step + 1
                roll.look()
            assert writer.close() == ""
        return roll.moments


# -- what is left ----------------------------------------------------------------------------------------------------


def judged(image: Image, moment: Moment, folder: Path) -> tuple[str, str]:
    """("whole" or "refused" or "wrong", why) for the run whose files are these; also after `repair`."""
    for name, content in image.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        if name.endswith("/lock"):
            os.utime(folder / name, (0, 0))
    path = folder / "run.h5"
    try:
        with Run.open(path) as run:
            before = prefixes(run)
            wrong = compared(run, moment)
    except RunFileError as error:
        return "refused", str(error).replace(f"{folder}/", "")
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error}"
    if wrong:
        return "wrong", wrong
    try:
        with mock.patch.object(os, "fsync"):
            repair(path)
        with Run.open(path) as run:
            if (after := prefixes(run)) != before or compared(run, moment):
                return "wrong", f"repaired: {before} became {after}; {compared(run, moment)}"
    except RunFileError as error:
        return "wrong", f"it opened, but could not be repaired: {error}"
    return "whole", ""


def prefixes(run: Run) -> dict[str, int]:
    """How many rows each item of a series has."""
    return {f"{s.name}/{item}": len(run.clock(s.name, item)) for s in run.series.values() for item in s.items}


def compared(run: Run, moment: Moment) -> str:
    """What in the run was never appended, or is missing although it was synced; "" if nothing."""
    expected: dict[str, Callable[[int], Any]] = {
        "gradient_norm": norms,
        "weight_histogram": histogram,
        "scalars": lambda step: (1 / (step + 1), 0.1),
    }
    said = []
    for s in run.series.values():
        for k, item in enumerate(s.items):
            first, by = (LATE, 1) if item == "late" else (0, 1 if s.axis == "step" else PER_EPOCH)
            clock, values = run.clock(s.name, item), run.values(s.name, item)
            n = len(clock)
            steps = first + by * np.arange(n)
            made = [
                step / 3 if item == "late" else raw(step)[k] if s.name == "raw" else expected[s.name](step)[k]
                for step in steps.tolist()
            ]
            right = (
                np.array_equal(clock.step, steps)
                and np.array_equal(clock.epoch, steps // PER_EPOCH)
                and np.array_equal(clock.time, START + steps)
                and np.reshape(np.asarray(made, s.dtype), values.shape).tobytes() == values.tobytes()
                and (not n or steps[-1] <= moment.appended)
            )
            synced = moment.durable.get((1 if item == "late" else 0, s.axis), 0)
            if not right:
                said.append(f"{s.name}/{item}: its {n} rows are not those appended")
            if n < synced:
                said.append(f"{s.name}/{item}: {n} of {synced} synced rows")
            if s.name == "gradient_norm" and n:
                envelope = run.window(s.name, Window(points=3), item)
                finite = np.asarray(made)[np.isfinite(made)]
                if len(finite) and (np.nanmax(envelope.max), np.nanmin(envelope.min)) != (finite.max(), finite.min()):
                    said.append(f"{item}: its summary is not that of its rows")
    said += [f"event {event.text!r}" for event in run.events if (event.kind, event.text) != ("phase", "late")]
    return "; ".join(said[:4])


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    chance, began = random.Random(0), time.perf_counter()
    found: dict[str, Counter[str]] = {"torn": Counter(), "cut": Counter()}
    why: Counter[str] = Counter()
    slowest = 0.0
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as name:
        moments = film()
        for case in range(cases):
            moment = chance.choice(moments)
            kind = ("torn", "torn", "torn", "torn", "cut")[case % 5]
            image = moment.torn(chance) if kind == "torn" else moment.cut(chance)
            at = time.perf_counter()
            verdict, reason = judged(image, moment, Path(name) / str(case))
            shutil.rmtree(Path(name) / str(case))
            slowest = max(slowest, time.perf_counter() - at)
            found[kind][verdict] += 1
            why[f"{kind} {verdict}: {reason[:110]}"] += verdict != "whole"
            if verdict == "wrong" and sum(one["wrong"] for one in found.values()) <= 10:
                print(f"case {case}: {kind}: {reason}", flush=True)
    for reason, times in why.most_common(20):
        print(f"{times:>7} {reason}")
    numbers = {
        "moments": len(moments),
        **{kind: dict(counts) for kind, counts in found.items()},
        "slowest_s": round(slowest, 2),
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }
    print(json.dumps(numbers, indent=1))
    OUT.write_text(json.dumps(numbers, indent=1) + "\n")
    sys.exit(any(counts["wrong"] for counts in found.values()))


if __name__ == "__main__":
    main()
