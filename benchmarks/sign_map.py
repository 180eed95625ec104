"""How fast is the sign map of a large network? Run: python benchmarks/sign_map.py [--parameters N] [--rows N]

A map of 20 M parameters in 62 tensors and 200 rows is written once into a folder for temporary files. "open" and the
zooms are the time from the request to the view, cold: a run that was opened afresh. Through a terminal of 120x40 cells
in true colour a key is timed from the press to the last byte of its frame, beside the process' CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.explorer import FOLDER, INSTALLED, answer, cpu, megabytes, pressed  # noqa: E402
from recorder.analysis.signs import unpacked  # noqa: E402
from recorder.entries import chart_of  # noqa: E402
from recorder.instruments.sign_map import SignMap  # noqa: E402
from recorder.reading import Facts, Reading, TensorFacts  # noqa: E402
from recorder.runfile.reader import Run  # noqa: E402
from recorder.runfile.schema import State  # noqa: E402
from recorder.runfile.writer import RunWriter  # noqa: E402
from recorder.view import At, Window  # noqa: E402
from tests.tui.terminal_process import layerscope  # noqa: E402

OUT = Path(__file__).parent / "results" / "sign_map.json"
COLUMNS = 2 * 82  # that the explorer asks for at 120x40
VALUES = np.array([1.0, -1e-6, 1e-6, 0.0], np.float32)  # of the codes


def shapes(parameters: int) -> dict[str, tuple[int, ...]]:
    """31 layers with a weight and a bias, as wide in sum as asked."""
    width = int((parameters / 31) ** 0.5)
    return {f"layer{k}.{name}": shape for k in range(31) for name, shape in
            (("weight", (width, width)), ("bias", (width,)))}  # fmt: skip


def written(parameters: int, rows: int) -> Path:
    """The run to look at, written if it is not there yet."""
    path = FOLDER / f"signs-{parameters}x{rows}.h5"
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    began = time.perf_counter()
    tensors = tuple(TensorFacts(n, s, "float32", n.partition(".")[0]) for n, s in shapes(parameters).items())
    instrument = SignMap()
    series = [type(s)(**{**vars(s), "axis": "epoch_ends", "instrument": "sign_map"})
              for s in instrument.declare(Facts("numpy", tensors, ()))]  # fmt: skip
    meta = {"tensors": [{"name": t.name, "shape": list(t.shape), "layer": t.layer} for t in tensors]}
    writer = RunWriter(path, meta=meta)
    writer.declare(*series)
    random = np.random.default_rng(0)
    codes = unpacked(random.integers(0, 256, sum(t.size for t in tensors) // 4 + 1, dtype=np.uint8))
    for row in range(rows):
        whole, at, raw = VALUES[np.roll(codes, 997 * row)], 0, {}
        for t in tensors:
            raw["gradient", t.name] = whole[at : at + t.size]
            at += t.size
        values = instrument.measure(Reading(100 * row + 99, row, 0.0, raw=raw))
        writer.append("epoch_ends", step=100 * row + 99, epoch=row, time=1.7e9 + row, values=values)
    writer.close(State.DONE)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.0f} MB) in {time.perf_counter() - began:.0f} s")
    return path


def views(path: Path, repeats: int) -> dict[str, float]:
    """Median milliseconds to the view of the whole network, and of each zoom into its middle."""
    with Run.open(path) as run:
        total = sum(int(np.prod(t["shape"])) for t in run.meta["tensors"])
    found = {}
    wide = total
    while wide >= 16:
        stretch = None if wide == total else (total // 2 - wide // 2, total // 2 + wide // 2)
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            with Run.open(path) as run:
                chart_of(run, "sign_map", At(), Window(points=COLUMNS, parameters=stretch))
                times.append(time.perf_counter() - began)
        found[f"{wide:,}"] = 1e3 * statistics.median(times)
        wide //= 4
    return found


def through_a_terminal(path: Path) -> dict[str, Any]:
    """The map's first frame, then its keys."""
    with (
        tempfile.TemporaryDirectory() as home,
        layerscope(str(path), "--fresh", size=(120, 40), cwd=Path(home),
                   environ={**INSTALLED, "COLORTERM": "truecolor"}) as t,
    ):  # fmt: skip
        t.until(lambda text: "layerscope" in text)
        answer(t)
        before = cpu(t.pid)
        t.press("4")
        opened, size = answer(t)
        spent = cpu(t.pid) - before
        t.press("\t")
        answer(t)
        keys = {name: pressed(t, key, times) for name, (key, times) in {
            "zoom in": ("+" * 9, 1), "zoom out": ("-" * 9, 1), "zoom to a parameter and back": ("+++++++++0", 2),
            "next cell": ("\x1b[C", 10), "row above": ("\x1b[A", 10),
        }.items()}  # fmt: skip
        return {
            "screen_ms": 1e3 * opened,
            "screen_cpu_ms": 1e3 * spent,
            "screen_bytes": size,
            "keys": keys,
            "memory_mib": megabytes(t.pid, "VmRSS"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, default=20_000_000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    path = written(options.parameters, options.rows)
    found = {"run": path.name, "mb": path.stat().st_size / 1e6, "view_ms": views(path, options.repeats)}
    found |= through_a_terminal(path)
    print(f"{found['run']}, {found['mb']:.0f} MB")
    opened = f"{found['screen_ms']:.0f} ms, CPU {found['screen_cpu_ms']:.0f} ms"
    print(f"{'screen opened, with the whole map':38} {opened:36} < 300 ms")
    for wide, ms in found["view_ms"].items():
        print(f"{'run opened and view of ' + wide:38} {ms:.0f} ms")
    for name, k in found["keys"].items():
        value = f"{k['frame_ms']:.0f} ms, CPU {k['cpu_ms']:.0f} ms, {k['bytes']:,.0f} bytes"
        print(f"{name:38} {value:36} < 50 ms, <= 60 kB")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
