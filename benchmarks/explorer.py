"""How fast is the explorer, through a terminal? Run: python benchmarks/explorer.py [--steps N] [--tensors N]

A run of 10^6 steps x 200 tensors is written once into a folder for temporary files and opened in a pseudo-terminal of
120x40 cells with 256 colours; so are a run of 10,000 tensors and 500 metrics, and a folder of 1,000 runs. Times are
medians. "frame" is the wall time from writing the key to the last byte of its answer, CPU is that of the whole
process; both stand beside their budgets.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from recorder.runfile.schema import Kind, Series, State  # noqa: E402
from recorder.runfile.writer import RunWriter  # noqa: E402
from tests.feature_signals import write_features  # noqa: E402
from tests.make_run import Training, make_run  # noqa: E402
from tests.tui.terminal_process import Terminal, layerscope  # noqa: E402

QUIET = 0.3  # seconds without a byte after which a frame is complete
ANSWERS = 2.0  # seconds until the first one
TICK = os.sysconf("SC_CLK_TCK")
# An installed program has its bytecode: this one keeps it among the temporary files, whatever the environment says.
BYTECODE = str(Path(tempfile.gettempdir()) / "layerscope-benchmark" / "bytecode")
INSTALLED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": BYTECODE}
OUT = Path(__file__).parent / "results" / "explorer.json"
KEYS = {  # what is pressed, on which screen, how often
    "loss: cursor a column left": ("2", "\x1b[D", 20),
    "loss: a row back": ("2", ",", 20),
    "loss: zoom in and out": ("2", "+-", 6),
    "loss: log on and off": ("2", "ll", 6),
    "loss: smoother and less": ("2", "sS", 6),
    "200 tensors x steps: cursor left": ("3", "\x1b[D", 20),
    "200 tensors x steps: next tensor": ("3", "j", 10),
    "200 tensors x steps: zoom in and out": ("3", "++++----", 2),
}

WIDE_KEYS = {
    "500 metrics: next metric": ("2", "j", 10),
    "500 metrics: cursor left": ("2", "\x1b[D", 10),
    "10,000 tensors: next tensor": ("3", "j", 10),
    "10,000 tensors: page down": ("3", "\x1b[6~", 10),
    "10,000 tensors: cursor left": ("3", "\x1b[D", 10),
    "10,000 tensors: zoom in and out": ("3", "++--", 2),
    "10,000 tensors: typing a filter": ("3", "/block7", 1),
}
PAIR_KEYS = {  # what is pressed before; "\r" goes from the list to the map, and from there into a pair
    "layers x layers: next pair": ("5\r", "\x1b[C\x1b[D", 5),
    "layers x layers: a step back": ("", ",", 10),
    "512 x 512 units: next unit": ("\x1b[C\r", "\x1b[C\x1b[B", 5),
    "512 x 512 units: a step on": ("\x1b[H", ".", 10),
    "512 x 512 units, clustered: a step on": ("u\x1b[H", ".", 10),
    "all units of 4 layers: a step on": ("M\x1b[H", ".", 10),
}
FOLDER = Path(tempfile.gettempdir()) / "layerscope-benchmark"


def written(steps: int, tensors: int) -> Path:
    """The run to look at, written if it is not there yet."""
    path = FOLDER / f"run-{steps}x{tensors}.h5"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        began = time.perf_counter()
        training = Training(path, tensors=tensors, histogram_every=max(steps // 100, 1), per_epoch=max(steps // 100, 1))
        while training.step < steps:
            training.advance(min(10_000, steps - training.step))
        training.close()
        print(f"wrote {path} ({path.stat().st_size / 1e6:.0f} MB) in {time.perf_counter() - began:.0f} s")
    return path


def wide(tensors: int = 10_000, metrics: int = 500, steps: int = 1000) -> Path:
    """A run of very many tensors and metrics; some names are 200 characters long."""
    path = FOLDER / f"wide-{tensors}x{metrics}.h5"
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    names = tuple(f"block{k // 100}.attention{k % 100}." + ("projection" * 18 if k % 50 == 0 else "weight")
                  for k in range(tensors))  # fmt: skip
    scalars = tuple(f"group{k // 50}/metric{k}" for k in range(metrics))
    writer = RunWriter(path, meta={})
    writer.declare(
        Series("scalars", Kind.SCALAR, "", "Scalars.", scalars, dtype="float64", item_dim="scalar", axis="step"),
        Series("gradient_norm", Kind.PER_ITEM, "loss / weight", "Norm.", names, item_dim="tensor", axis="step"),
    )
    rng = np.random.default_rng(0)
    for step in range(steps):
        values = {"scalars": rng.random(metrics), "gradient_norm": rng.random(tensors) * np.exp(-step / 300)}
        writer.append("step", step=step, epoch=0, time=1.7e9 + step, values=values)
    writer.close(State.DONE)
    return path


def correlated(layers: int = 4, units: int = 512, epochs: int = 12) -> Path:
    """A run with the correlations of these layers, unit by unit."""
    path = FOLDER / f"correlated-{layers}x{units}.h5"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_features(path, epochs, layers={f"linear{k}": units for k in range(1, layers + 1)}, samples=100)
    return path


def many(runs: int = 1000) -> Path:
    """A folder of so many runs."""
    folder = FOLDER / f"{runs}-runs"
    if not folder.exists():
        (unfinished := folder.with_suffix(".new")).mkdir(parents=True, exist_ok=True)
        one = make_run(FOLDER / f"one-of-{runs}.h5", steps=100, tensors=4)
        for k in range(runs):
            shutil.copy(one, unfinished / f"run{k}.h5")
        one.unlink()
        unfinished.rename(folder)
    return folder


def cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def megabytes(pid: int, field: str) -> float:
    """VmRSS or VmHWM."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def answer(t: Terminal) -> tuple[float, int]:
    """Seconds until the last byte of what follows, and how many bytes."""
    began = last = time.perf_counter()
    total = 0
    while time.perf_counter() - last < (QUIET if total else ANSWERS):
        if got := len(t.read(0.002)):
            total, last = total + got, time.perf_counter()
    return last - began, total


def settled(t: Terminal) -> None:
    """Until it neither writes nor works: what a screen begins with is not what its keys cost."""
    answer(t)
    spent = -1.0
    while (now := cpu(t.pid)) > spent:
        spent = now
        t.read(QUIET)


def first_frames(run: Path, home: Path, times: int) -> tuple[float, float]:
    """Seconds until the explorer stands, and until its chart is drawn."""
    frames, charts = [], []
    for _ in range(times + 1):
        began = time.perf_counter()
        with layerscope(str(run), "--fresh", size=(120, 40), cwd=home, environ=INSTALLED) as t:
            while "layerscope" not in t.text:
                t.read(0.001)
            frames.append(time.perf_counter() - began)
            while "┤" not in t.text:
                t.read(0.001)
            charts.append(time.perf_counter() - began)
            t.press("q")
            t.wait()
    return statistics.median(frames[1:]), statistics.median(charts[1:])  # the first start compiles


def pressed(t: Terminal, keys: str, times: int) -> dict[str, float]:
    """Medians of wall time and bytes, and mean CPU time, of one key."""
    singles = re.findall("\x1b\\[\\d*.|.", keys, re.DOTALL)
    walls, sizes, before = [], [], cpu(t.pid)
    for _ in range(times):
        for key in singles:
            t.press(key)
            wall, size = answer(t)
            walls.append(wall)
            sizes.append(size)
    spent = (cpu(t.pid) - before) / len(walls)
    return {"frame_ms": 1e3 * statistics.median(walls), "cpu_ms": 1e3 * spent, "bytes": statistics.median(sizes)}


def measure(run: Path, repeats: int) -> dict[str, Any]:
    """Everything, as plain data."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        frame, chart = first_frames(run, home, repeats)
        keys = {}
        with layerscope(str(run), "--fresh", size=(120, 40), cwd=home, environ=INSTALLED) as t:
            t.until(lambda text: "┤" in text)
            for name, (screen, key, times) in KEYS.items():
                for first in (screen, "\x1b[H0", "\x1b[F"):
                    t.press(first)
                    settled(t)
                keys[name] = pressed(t, key, times)
            resident, peak = megabytes(t.pid, "VmRSS"), megabytes(t.pid, "VmHWM")
            while t.read(1.0):
                pass
            before = cpu(t.pid)
            idle = len(t.read(3.0))
            idle_cpu = (cpu(t.pid) - before) / 3
            t.press("q")
            t.wait()
    return {
        "run": run.name, "first_frame_s": frame, "first_chart_s": chart, "keys": keys, "memory_mib": resident,
        "peak_mib": peak, "idle_bytes": idle, "idle_cpu_share": idle_cpu,
    }  # fmt: skip


def first_rows(folder: Path, times: int) -> float:
    """Seconds until runs stand in the list."""
    firsts = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as home:
            began = time.perf_counter()
            with layerscope(str(folder), "--fresh", size=(120, 40), cwd=Path(home), environ=INSTALLED) as t:
                while "✓ done" not in t.text:
                    t.read(0.001)
                firsts.append(time.perf_counter() - began)
                t.press("q")
                t.wait()
    return statistics.median(firsts)


def listed(folder: Path, repeats: int) -> dict[str, float]:
    """How soon the first and the last run of a folder stand in the list, and what a key costs meanwhile and after."""
    first = first_rows(folder, repeats)
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        with layerscope(str(folder), "--fresh", size=(120, 40), cwd=Path(home), environ=INSTALLED) as t:
            t.until(lambda text: "✓ done" in text)
            t.press("/")
            t.shows("gl*b")
            t.press("run99")
            t.until(lambda text: "/run99" in text)
            meanwhile = "looking for more" in t.text
            t.press("\x1b")
            t.until(lambda text: "gl*b" not in text)
            t.press("\x1b")
            t.until(lambda text: "/run99" not in text)
            t.until(lambda text: "looking for more" not in text, patience=300)
            whole, spent = time.perf_counter() - began, cpu(t.pid)
            found = {"first_rows_s": first, "all_rows_s": whole, "cpu_s": spent, "filtered_meanwhile": meanwhile}
            found |= {f"{key}_cpu_ms": pressed(t, key, 5)["cpu_ms"] for key in ("j", "G")}
            found |= {"filter_cpu_ms": pressed(t, "/run99", 1)["cpu_ms"], "memory_mib": megabytes(t.pid, "VmRSS")}
    return found


def keyed(run: Path, wanted: dict[str, tuple[str, str, int]]) -> dict[str, Any]:
    """What these keys cost, one group after the other."""
    keys = {}
    with (
        tempfile.TemporaryDirectory() as home,
        layerscope(str(run), "--fresh", size=(120, 40), cwd=Path(home), environ=INSTALLED) as t,
    ):
        t.until(lambda text: "┤" in text)
        for name, (first, key, times) in wanted.items():
            for one in re.findall("\x1b\\[.|.", first, re.DOTALL):
                t.press(one)
                settled(t)
            keys[name] = pressed(t, key, times)
        return {"keys": keys, "memory_mib": megabytes(t.pid, "VmRSS")}


def table(found: dict[str, Any]) -> str:
    """The numbers beside their budgets."""
    rows = [
        ("first frame", f"{found['first_frame_s']:.2f} s", "< 0.8 s"),
        ("first chart", f"{found['first_chart_s']:.2f} s", ""),
        ("memory (peak)", f"{found['memory_mib']:.0f} ({found['peak_mib']:.0f}) MiB", "< 150 MiB"),
        ("idle for 3 s", f"{found['idle_bytes']} bytes, {found['idle_cpu_share']:.1%} of a core", "0 bytes"),
    ]
    runs, keys = found["runs"], found["keys"] | found["wide"]["keys"] | found["pairs"]["keys"]
    rows += [
        ("1,000 runs: first rows, all", f"{runs['first_rows_s']:.2f} s, {runs['all_rows_s']:.0f} s", "first < 1 s"),
        ("1,000 runs: CPU of j, G and a filter's letter",
         f"{runs['j_cpu_ms']:.0f}, {runs['G_cpu_ms']:.0f}, {runs['filter_cpu_ms']:.0f} ms", "CPU < 50 ms"),
        ("10,000 tensors: memory", f"{found['wide']['memory_mib']:.0f} MiB", "< 150 MiB"),
        ("correlations: memory", f"{found['pairs']['memory_mib']:.0f} MiB", "< 150 MiB"),
    ]  # fmt: skip
    return aligned([*rows, *costs(keys)])


def costs(keys: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What each key costs, beside its budget."""
    return [
        (name, f"{k['frame_ms']:.0f} ms, CPU {k['cpu_ms']:.0f} ms, {k['bytes']:,.0f} bytes", "CPU < 50 ms, <= 60 kB")
        for name, k in keys.items()
    ]


def aligned(rows: list[tuple[str, str, str]]) -> str:
    """Three columns."""
    return "\n".join(f"{name:38} {value:36} {budget}" for name, value, budget in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--tensors", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5, help="starts, of which the median is taken")
    parser.add_argument("--pairs", action="store_true", help="the screen Correlations alone, beside the kept results")
    options = parser.parse_args()
    if options.pairs:
        pairs = keyed(correlated(), PAIR_KEYS)
        memory = ("memory", f"{pairs['memory_mib']:.0f} MiB", "< 150 MiB")
        print(aligned([memory, *costs(pairs["keys"])]))
        if OUT.exists():
            OUT.write_text(json.dumps(json.loads(OUT.read_text()) | {"pairs": pairs}, indent=1) + "\n")
        return
    found = measure(written(options.steps, options.tensors), options.repeats)
    found |= {
        "wide": keyed(wide(), WIDE_KEYS),
        "pairs": keyed(correlated(), PAIR_KEYS),
        "runs": listed(many(), options.repeats),
    }
    print(table(found))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
