"""Does the explorer stay as small after hours of following a training as it was after minutes?

python benchmarks/soak.py [--hours 6] [--tensors 64] [--rows 20] [--quick]

A run is recorded while the explorer follows it in a pseudo-terminal of 120x40 cells. The explorer looks for news once a
second; here it looks again at once, and as soon as it has shown some, the next rows are written: each look that found
news stands for a second. In between somebody goes from screen to screen. Memory, open files and threads are sampled
every six simulated minutes, after the first tenth of them; the slope is that of a straight line through those of the
second half, when every screen was seen often. At the end nothing more is recorded: bytes to the terminal are counted,
while the run is open and after it was closed.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.explorer import INSTALLED, cpu, megabytes  # noqa: E402
from tests.make_run import Training  # noqa: E402
from tests.tui.terminal_process import Terminal, surroundings, terminal  # noqa: E402

OUT = Path(__file__).parent / "results" / "soak.json"
HASTY = """
import os, sys
from tui import follow
follow.PERIOD = 0.005
tell, counter, looks = follow.Follower._tell, os.open(sys.argv.pop(1), os.O_WRONLY), 0
def counted(*given):
    global looks
    looks += 1
    tell(*given)
    os.pwrite(counter, str(looks).encode(), 0)
follow.Follower._tell = counted
from tui.cli import main
sys.exit(main(sys.argv[1:]))
"""
EVERY = 360  # looks between two samples: six minutes
WALK = ("3", "j", "2", ",", "\x1b[F", "3", "]", "1", "2", "+", "0")  # one of them at each sample


@dataclass(frozen=True)
class Sample:
    """The explorer's process at one moment."""

    hours: float  # simulated
    rows: int
    memory_mib: float
    files: int
    threads: int
    cpu_s: float
    wall_s: float
    terminal_bytes: int  # sent since the sample before


class Watched:
    """An explorer whose looks are counted, and whose picture is taken from it without being drawn."""

    def __init__(self, t: Terminal, counter: Path) -> None:
        self.t, self._counter = t, counter
        self.bytes = 0

    @property
    def looks(self) -> int:
        return int(self._counter.read_text() or 0)

    def drain(self, seconds: float) -> int:
        """Bytes to the terminal in the next moments."""
        got, until = 0, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self.t.fd], [], [], left)[0]:
            got += len(os.read(self.t.fd, 1 << 16))
        self.bytes += got
        return got

    def sample(self, rows: int, began: float) -> Sample:
        sent, self.bytes = self.bytes, 0
        folder = Path(f"/proc/{self.t.pid}")
        return Sample(
            self.looks / 3600, rows, megabytes(self.t.pid, "VmRSS"), len(list((folder / "fd").iterdir())),
            len(list((folder / "task").iterdir())), cpu(self.t.pid), time.monotonic() - began, sent,
        )  # fmt: skip

    def quiet(self, seconds: float) -> int:
        """Bytes in a stretch that begins when its last word about the last change was said."""
        while self.drain(2.5):
            pass
        return self.drain(seconds)


def soak(hours: float, *, tensors: int, rows: int) -> dict[str, Any]:
    """Follow for so many simulated hours; everything that was measured."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        counter = home / "looks"
        counter.write_text("0")
        training = Training(home / "run.h5", tensors=tensors, histogram_every=2000, per_epoch=5000)
        training.advance(rows)
        words = [sys.executable, "-c", HASTY, str(counter), "run.h5", "--fresh"]
        with terminal(words, size=(120, 40), cwd=home, environ=surroundings(home, INSTALLED)) as t:
            t.shows("step")
            watched, samples, began, seen = Watched(t, counter), [], time.monotonic(), 0
            while (looks := watched.looks) < hours * 3600:
                if looks != seen:
                    training.advance(rows)
                    if looks // EVERY != seen // EVERY:
                        samples.append(watched.sample(training.step, began))
                        t.press(WALK[len(samples) % len(WALK)])
                    seen = looks
                watched.drain(0.004)
            t.press("2")
            idle_recording = watched.quiet(5.0)
            training.close()
            idle_done = watched.quiet(5.0)
            size = (home / "run.h5").stat().st_size
            t.press("q")
            status = t.wait()
    late = [s for s in samples if s.hours >= hours / 10]
    half = [s for s in samples if s.hours >= hours / 2]
    tenth = max(len(late) // 10, 1)
    return {
        "hours": hours, "tensors": tensors, "rows": training.step, "file_mb": size / 1e6, "exit": status,
        "memory_mib_per_hour": slope(half),
        "memory_mib": [late[0].memory_mib, late[-1].memory_mib], "peak_mib": max(s.memory_mib for s in samples),
        "files": [min(s.files for s in late), max(s.files for s in late)],
        "threads": [min(s.threads for s in late), max(s.threads for s in late)],
        "cpu_ms_per_look": [cpu_ms(late[: tenth + 1]), cpu_ms(late[-tenth - 1 :])],
        "idle_bytes_recording": idle_recording, "idle_bytes_done": idle_done,
        "samples": [asdict(s) for s in samples],
    }  # fmt: skip


def slope(samples: list[Sample]) -> float:
    """MiB an hour of the straight line through the samples."""
    if len(samples) < 2:
        return 0.0
    return float(np.polyfit([s.hours for s in samples], [s.memory_mib for s in samples], 1)[0])


def cpu_ms(samples: list[Sample]) -> float:
    """CPU time of a look between the first and the last of these samples."""
    looks = (samples[-1].hours - samples[0].hours) * 3600
    return 1e3 * (samples[-1].cpu_s - samples[0].cpu_s) / looks if looks else 0.0


def table(found: dict[str, Any]) -> str:
    """The numbers beside what is wanted."""
    first, last = found["memory_mib"]
    early, late = found["cpu_ms_per_look"]
    rows = [
        ("followed", f"{found['hours']:g} h, {found['rows']:,} rows x {found['tensors']} tensors", ""),
        (
            "memory",
            f"{first:.0f} -> {last:.0f} MiB, {found['memory_mib_per_hour']:+.2f} MiB an hour",
            "flat, < 150 MiB",
        ),
        ("open files", "{} to {}".format(*found["files"]), "flat"),
        ("threads", "{} to {}".format(*found["threads"]), "flat"),
        ("CPU a look", f"{early:.0f} ms at first, {late:.0f} ms at last", "no slowdown"),
        ("idle while recording", f"{found['idle_bytes_recording']} bytes in 5 s", "0"),
        ("idle when done", f"{found['idle_bytes_done']} bytes in 5 s", "0"),
    ]
    return "\n".join(f"{name:22} {value:44} {wanted}" for name, value, wanted in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6.0, help="simulated hours")
    parser.add_argument("--tensors", type=int, default=64)
    parser.add_argument("--rows", type=int, default=2, help="rows written between two looks")
    parser.add_argument("--quick", action="store_true", help="half an hour, written nowhere")
    options = parser.parse_args()
    found = soak(0.5 if options.quick else options.hours, tensors=options.tensors, rows=options.rows)
    print(table(found))
    if not options.quick:
        OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
