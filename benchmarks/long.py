"""Does a run of a million steps stay as quick, and as small in memory, as it was after a minute?

python benchmarks/long.py [--steps N] [--tensors N] [--keep FOLDER]

Rows of made-up numbers go through RunWriter as fast as it takes them; each variant writes, and is then read, in a
process of its own. `every step`: three norms of each tensor and five scalars at each step; `light`: the norms at two
steps of ten, as that preset does; `wide`: 10,000 items and 500 scalars. Growth is that of the process' own memory
(RssAnon, no page cache) from a hundredth of the run on; slowing is the last tenth's time of an append over the first,
on the clock and, which other programs disturb less, in the thread's own CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from recorder.runfile.reader import Run  # noqa: E402
from recorder.runfile.schema import Kind, Series  # noqa: E402
from recorder.runfile.writer import RunWriter  # noqa: E402
from recorder.view import Window  # noqa: E402

OUT = Path(__file__).parent / "results" / "long.json"
NORMS = ("gradient_norm", "weight_norm", "update_ratio")
SAMPLES = 200  # looks at the memory
GROWTH_MIB, OPEN_S, WINDOW_MS, SLOWING = 64, 0.8, 50, 1.25  # what must hold


@dataclass(frozen=True)
class Variant:
    """What is recorded: items at the first `due` of ten steps, scalars at each."""

    items: int
    scalars: int
    due: int = 10
    share: float = 1.0  # of the steps that were asked for


def variants(tensors: int) -> dict[str, Variant]:
    return {
        "light": Variant(tensors, 5, due=2),
        "every step": Variant(tensors, 5),
        "wide": Variant(10_000, 500, share=0.004),
    }


def write(path: Path, variant: Variant, steps: int) -> dict[str, float]:
    """Record it; what it took."""
    items = tuple(f"layer{k // 2}.{'bias' if k % 2 else 'weight'}" for k in range(variant.items))
    scalars = tuple(f"scalar{k}" for k in range(variant.scalars))
    writer = RunWriter(path, meta={})
    writer.declare(
        Series("scalars", Kind.SCALAR, "", "", scalars, dtype="float64", item_dim="scalar", axis="step"),
        *(Series(name, Kind.PER_ITEM, "", "", items, item_dim="tensor", axis="norms") for name in NORMS),
    )
    table = np.random.default_rng(0).random((1009, variant.items), dtype=np.float32)  # rows are taken round it
    numbers = np.random.default_rng(1).random((1013, variant.scalars))
    took, worked = np.ones((2, steps), np.float32)
    memory, descriptors, began = [], [], time.perf_counter()
    for step in range(steps):
        clock = {"step": step, "epoch": step * 100 // steps, "time": 1.7e9 + step}
        start, cpu = time.perf_counter(), time.thread_time()
        writer.append("step", **clock, values={"scalars": numbers[step % 1013]})
        if step % 10 < variant.due:
            row = table[step % 1009]
            writer.append("norms", **clock, values=dict.fromkeys(NORMS, row))
        worked[step] = time.thread_time() - cpu
        took[step] = time.perf_counter() - start
        if step % (steps // SAMPLES) == 0:
            memory.append(anonymous_mib())
            descriptors.append(len(os.listdir("/dev/fd")))
    seconds = time.perf_counter() - began
    said = writer.close()
    assert (said, bool(writer.dropped)) == ("", False)
    tenth, settled = steps // 10, memory[SAMPLES // 100 :]
    return {
        "steps": steps,
        "seconds": round(seconds, 1),
        "close_s": round(time.perf_counter() - began - seconds, 2),
        "mb": round(path.stat().st_size / 1e6),
        "append_us_median": round(1e6 * float(np.median(took)), 1),
        "append_us_p99": round(1e6 * float(np.quantile(took, 0.99)), 1),
        **{
            f"slowing_{name}{kind}": round(float(np.quantile(of[-tenth:], at) / np.quantile(of[:tenth], at)), 3)
            for kind, of in (("", took), ("_cpu", worked))
            for name, at in (("median", 0.5), ("p99", 0.99))
        },
        "growth_mib": round(max(settled) - settled[0], 1),
        "growth_at_end_mib": round(settled[-1] - settled[0], 1),
        "descriptors": max(descriptors),
    }


def read(path: Path) -> dict[str, float]:
    """Open it and look at every series: over all steps, and zoomed in; times are medians over series of one reading."""
    began, cpu = time.perf_counter(), time.process_time()
    run = Run.open(path)
    opened = {"steps": run.steps, "last": run.last_step, "state": str(run.state), "epochs": run.epochs}
    opening = time.perf_counter() - began, time.process_time() - cpu
    assert opened["state"] == "done", opened
    walls: dict[str, list[float]] = {"one_item": [], "zoomed": [], "all_items": []}
    cpus: dict[str, list[float]] = {name: [] for name in walls}
    chance = np.random.default_rng(0)
    for turn in range(12):
        for name, s in run.series.items():
            item = s.items[int(chance.integers(len(s.items)))]
            lo = int(chance.integers(run.last_step // 2))
            hi = lo + int(chance.integers(1, run.last_step // 2))
            asks: dict[str, Callable[[], Any]] = {
                "one_item": lambda name=name, item=item: run.window(name, Window(points=400), item),
                "zoomed": lambda name=name, item=item, lo=lo, hi=hi: run.window(name, Window(lo, hi, 400), item),
                "all_items": lambda name=name: run.window(name, Window(points=200)),
            }
            for ask, look in asks.items():
                began, cpu = time.perf_counter(), time.process_time()
                look()
                if turn:  # the first one fills caches of the disk
                    walls[ask].append(time.perf_counter() - began)
                    cpus[ask].append(time.process_time() - cpu)
    return {
        "open_s": round(opening[0], 3),
        "open_cpu_s": round(opening[1], 3),
        **{f"{ask}_ms": round(1e3 * statistics.median(times), 1) for ask, times in walls.items()},
        **{f"{ask}_cpu_ms": round(1e3 * statistics.median(times), 1) for ask, times in cpus.items()},
        **{f"{ask}_worst_cpu_ms": round(1e3 * max(times), 1) for ask, times in cpus.items()},
        "memory_mib": round(anonymous_mib(), 1),
    }


def anonymous_mib() -> float:
    """This process' own memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def in_a_process(*words: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def too_much(name: str, one: dict[str, float]) -> list[str]:
    """What does not hold."""
    found = {
        f"memory grew by {one['growth_mib']} MiB": one["growth_mib"] >= GROWTH_MIB,
        f"appending slowed by {one['slowing_median_cpu']}": one["slowing_median_cpu"] >= SLOWING,
        f"opening took {one['open_cpu_s']} s": one["open_cpu_s"] >= OPEN_S,
        f"a series took {one['one_item_cpu_ms']} ms": one["one_item_cpu_ms"] >= WINDOW_MS,
        f"a zoom took {one['zoomed_cpu_ms']} ms": one["zoomed_cpu_ms"] >= WINDOW_MS,
    }
    return [f"{name}: {words}" for words, wrong in found.items() if wrong]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--tensors", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="a folder in which the runs are left")
    parser.add_argument("--only", choices=("write", "read"), help=argparse.SUPPRESS)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    known = variants(args.tensors)
    if args.only:
        one = known[args.variant]
        found = (
            write(args.run, one, max(SAMPLES, int(args.steps * one.share))) if args.only == "write" else read(args.run)
        )
        print(json.dumps(found))
        return
    numbers, wrong = {}, []
    with tempfile.TemporaryDirectory() as name:
        for variant in known:
            run = (args.keep or Path(name)) / f"{variant.replace(' ', '-')}.h5"
            words = (
                "--variant",
                variant,
                "--run",
                str(run),
                "--steps",
                str(args.steps),
                "--tensors",
                str(args.tensors),
            )
            numbers[variant] = in_a_process("--only", "write", *words) | in_a_process("--only", "read", *words)
            wrong += too_much(variant, numbers[variant])
            if not args.keep:
                run.unlink()
    for key in numbers["light"]:
        print(f"{key:>22}", *(f"{one[key]:>12}" for one in numbers.values()))
    print("\n".join(wrong))
    OUT.write_text(json.dumps(numbers, indent=1) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
