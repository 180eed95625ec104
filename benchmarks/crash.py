"""What does a SIGKILL cost? Kill a recording process at random moments and look for every acknowledged row.

python benchmarks/crash.py [KILLS]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ITEMS = tuple(f"tensor{k}" for k in range(40))

CHILD = """
import os, sys
sys.path.insert(0, {root!r})
from benchmarks.crash import record
record({path!r})
"""


def row(step: int) -> np.ndarray:
    """What the child records at a step."""
    return np.sin(step + np.arange(len(ITEMS))).astype("f4")


def bins(step: int) -> np.ndarray:
    return (np.arange(len(ITEMS) * 8) * step).astype("u4").reshape(len(ITEMS), 8)


def record(path: str) -> None:
    """Record for ever, in small blocks and, from step 300 on, in parts; print each step that was acknowledged."""
    from recorder.runfile.schema import Event, Kind, Series
    from recorder.runfile.writer import RunWriter

    writer = RunWriter(path, meta={}, block_bytes=1 << 13)
    writer.declare(
        Series("norm", Kind.PER_ITEM, "", "", ITEMS, axis="step"),
        Series("histogram", Kind.DISTRIBUTION, "", "", ITEMS, (8,), ("bin",), "uint32", axis="rare"),
    )
    for step in range(1_000_000):
        clock = {"step": step, "epoch": step // 100, "time": time.time()}
        if step % 300 == 299:
            writer.declare(Series("late", Kind.PER_ITEM, "", "", (f"late{step}",), dtype="float64", axis="step"))
            writer.event(Event("phase", str(step), step, 0, 0.0))
        late = {f"late{s}": step for s in range(299, step + 1, 300)}
        writer.append("step", **clock, values={"norm": row(step), **({"late": late} if late else {})})
        if step % 10 == 0:
            writer.append("rare", **clock, values={"histogram": bins(step)})
        os.write(1, b"%d\n" % step)
        if step >= 1200:
            time.sleep(0.001)


@dataclass(frozen=True)
class Outcome:
    """What one kill left behind."""

    acknowledged: int  # steps whose append had returned
    found: int  # steps that the run has
    wrong: int  # rows that are not what was appended, or missing among the acknowledged
    state: str
    parts: int


def kill_once(folder: Path, seed: int) -> Outcome:
    """Start a recording, kill it after a random number of steps and a random moment, and read what is left."""
    chance = random.Random(seed)
    path = folder / f"run{seed}.h5"
    code = CHILD.format(root=str(ROOT), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        wanted, seen = chance.choice([0, chance.randrange(50), chance.randrange(1200)]), b""
        while seen.count(b"\n") <= wanted:
            new = os.read(child.stdout.fileno(), 1 << 16)
            if not new:
                raise RuntimeError(f"the recording process ended by itself: {child.wait()}")
            seen += new
        time.sleep(chance.random() * 0.01)
        child.send_signal(signal.SIGKILL)
        seen += child.stdout.read()
    return look(path, seen.count(b"\n"))


def look(path: Path, acknowledged: int) -> Outcome:
    """Compare every row of the run at `path` with what was appended."""
    from recorder.runfile.reader import Run

    with Run.open(path) as run:
        steps, values = run.clock("norm").step, run.values("norm")
        wrong = int((steps != np.arange(len(steps))).sum()) + max(0, acknowledged - len(steps))
        wrong += sum(not np.array_equal(value, row(step)) for step, value in enumerate(values))
        rare = run.clock("histogram").step
        wrong += max(0, (acknowledged + 9) // 10 - len(rare))
        wrong += sum(not np.array_equal(v, bins(s)) for s, v in zip(rare, run.values("histogram"), strict=True))
        for first in range(299, acknowledged, 300):
            late = run["late"].item(f"late{first}")
            wrong += int((late.step[: acknowledged - first] != np.arange(first, acknowledged)).sum())
            wrong += int((late.values != late.step).sum())
        wrong += [e.text for e in run.events][: acknowledged // 300] != [str(s) for s in range(299, acknowledged, 300)]
        return Outcome(acknowledged, len(steps), wrong, str(run.state), run.parts)


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(kills):
            outcomes.append(kill_once(Path(folder), seed))
    print(f"{'kills':>32} {kills}")
    print(f"{'rows acknowledged':>32} {sum(o.acknowledged for o in outcomes)}")
    print(f"{'rows found':>32} {sum(o.found for o in outcomes)}")
    print(f"{'rows lost or wrong':>32} {sum(o.wrong for o in outcomes)}")
    print(f"{'runs that open':>32} {len(outcomes)} of {kills}")
    print(f"{'most parts in a run':>32} {max(o.parts for o in outcomes)}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
