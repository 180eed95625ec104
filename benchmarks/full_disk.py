"""What does a full disk do to real trainings? A tmpfs of 2 MB that somebody else fills, at random moments.

Three ways: there is room again, the training ends while there is none, or there is none for longer than rows may wait
in memory. Mounting takes root, or a system that lets users have namespaces of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.victim import INSTRUMENTS, forked, nn, square, torch, warm  # noqa: E402
from recorder import open_run, record  # noqa: E402
from recorder.recording import naming  # noqa: E402
from recorder.runfile import mover, outage  # noqa: E402
from recorder.runfile.pack import repair  # noqa: E402
from recorder.runfile.writer import RunWriter  # noqa: E402

OUT = Path(__file__).parent / "results" / "full_disk.json"
DISK, WAITING = "2m", 200_000  # bytes that may wait, where more than that is to come
WAYS = ("room again", "full to the end", "full for long")
FINE, FULL = b".", b"x"


def train(path: Path, stop: Path, report: Path, beat: int) -> None:
    """Until it is told to stop; says at each step whether the disk takes rows, and in the end what the user saw."""
    naming.RunWriter = partial(RunWriter, block_bytes=1 << 13)  # type: ignore[assignment, misc]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    images, labels = torch.randn(16, 8), torch.arange(16) % 4
    step = 0
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with record(model, path, optimizer=optimizer, probe=images, instruments=INSTRUMENTS, progress=False) as run:
            assert run._session is not None
            writer = run._session.ledger.writer
            while not stop.exists():
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                run.step(loss=loss, square=square(step))
                step += 1
                os.write(beat, FULL if writer.problem else FINE)
    lost = {axis: [lost.rows, lost.first, lost.last] for axis, lost in writer.dropped.axes.items()}
    report.write_text(json.dumps({"steps": step, "heard": [str(w.message) for w in heard], "lost": lost}))


def one(disk: Path, way: str, seed: int) -> tuple[Counter[str], list[str]]:
    """Numbers of one training, and what is wrong with it."""
    chance = random.Random(f"{way} {seed}")
    with tempfile.TemporaryDirectory() as elsewhere:
        path, stop, report = disk / "run.h5", Path(elsewhere, "stop"), Path(elsewhere, "report")
        ours, theirs = os.pipe()
        outage.PENDING_BYTES = WAITING if way == "full for long" else 32 << 20
        mover.HEARTBEAT = 0.2
        child = forked(lambda: train(path, stop, report, theirs), ours)
        os.close(theirs)
        beats = Beats(ours)
        beats.wait(FINE, chance.randrange(400))
        with filled(disk / "filler", beats):
            beats.wait(FULL, chance.randrange(100, 600) + 3000 * (way == "full for long"))
            if way == "full to the end":
                stop.touch()
                beats.rest()
        if way != "full to the end":
            beats.wait(FINE, chance.randrange(10, 400))
            stop.touch()
            beats.rest()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = json.loads(report.read_text()) if report.exists() else {"steps": 0, "heard": [], "lost": {}}
    os.close(ours)
    problems = [] if code == 0 else [f"the training ended with {code}"]
    problems += judged(path, way, said)
    return Counter(trainings=1, steps=said["steps"], dropped=sum(n for n, _, _ in said["lost"].values())), problems


def judged(path: Path, way: str, said: dict) -> list[str]:
    """What is in the run beside what its training said; then in what `repair` makes of it."""
    problems, steps = [], np.arange(said["steps"])
    warned = [text for text in said["heard"] if "The training goes on" in text]
    if len(warned) != 1:
        problems.append(f"{len(warned)} warnings of the disk: {said['heard']}")
    if bool(said["lost"]) and not any("dropped" in text or "lost" in text for text in said["heard"]):
        problems.append("rows were lost without a word")
    if way == "room again" and said["lost"]:
        problems.append(f"lost {said['lost']}")
    lost, first, last = said["lost"].get("step", (0, 0, -1))
    for look in range(2):
        with open_run(path) as run:
            found, values = run["square"].step, run["square"].values
            listed = [e.text for e in run.events if e.kind == "dropped"]
        missing = np.setdiff1d(steps, found)
        if len(missing) != lost or (missing < first).any() or (missing > last).any():
            problems.append(f"{len(missing)} rows are missing, {lost} were said to be")
        if not np.array_equal(values, square(found)):
            problems.append("numbers changed")
        if way == "full for long" and not any(f"{lost} rows of axis 'step'" in text for text in listed):
            problems.append(f"the run does not list {lost} rows: {listed}")
        if not look:
            repair(path)
    return problems


class Beats:
    """What a training says of each step."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self.last = b""

    def read(self) -> bytes:
        new = os.read(self._pipe, 1 << 12)
        self.last = new[-1:] or self.last
        return new

    def wait(self, kind: bytes, count: int) -> None:
        """Until it said so that often."""
        while count > 0 and (new := self.read()):
            count -= new.count(kind)

    def rest(self) -> None:
        while self.read():
            pass


@contextlib.contextmanager
def filled(path: Path, beats: Beats) -> Iterator[None]:
    """While this lasts another file takes all room; logs that go make some, which is taken as well."""
    with path.open("ab", buffering=0) as filler:
        while beats.last != FULL and beats.read():
            with contextlib.suppress(OSError):
                while filler.write(bytes(1 << 12)):
                    pass
        yield
    path.unlink()


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "layerscope", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trainings", nargs="?", type=int, default=60)
    args = parser.parse_args()
    if os.geteuid() != 0:
        inside = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, __file__, *sys.argv[1:]]
        os.execvp(inside[0], inside)
    torch.set_num_threads(1)
    warm()
    began, total, wrong = time.perf_counter(), {way: Counter[str]() for way in WAYS}, 0
    for seed in range(args.trainings):
        way = WAYS[seed % len(WAYS)]
        with small_disk() as disk:
            numbers, problems = one(disk, way, seed)
        total[way] = total[way] + numbers
        wrong += bool(problems)
        for problem in problems:
            print(f"{way}, seed {seed}: {problem}", flush=True)
    table = {"disk": DISK, **{way: dict(numbers) for way, numbers in total.items()}}
    table |= {"trainings with a problem": wrong, "minutes": round((time.perf_counter() - began) / 60, 1)}
    for name, value in table.items():
        print(f"{name:>26} {value}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(table, indent=1) + "\n")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
