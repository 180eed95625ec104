"""How fast is the explorer, through a terminal? Run: python benchmarks/explorer.py [--steps N] [--tensors N] [--json F]

A run of 10^6 steps x 200 tensors is written once into a folder for temporary files and opened in a pseudo-terminal of
120x40 cells with 256 colours. Times are medians. "frame" is the wall time from writing the key to the last byte of
its answer, CPU is that of the whole process; both stand beside the budget of DESIGN 8.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.make_run import Training  # noqa: E402
from tests.tui.terminal_process import Terminal, layerscope  # noqa: E402

QUIET = 0.3  # seconds without a byte after which a frame is complete
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


def written(steps: int, tensors: int) -> Path:
    """The run to look at, written if it is not there yet."""
    path = Path(tempfile.gettempdir()) / "layerscope-benchmark" / f"run-{steps}x{tensors}.h5"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        began = time.perf_counter()
        training = Training(path, tensors=tensors, histogram_every=max(steps // 100, 1), per_epoch=max(steps // 100, 1))
        while training.step < steps:
            training.advance(min(10_000, steps - training.step))
        training.close()
        print(f"wrote {path} ({path.stat().st_size / 1e6:.0f} MB) in {time.perf_counter() - began:.0f} s")
    return path


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
    while time.perf_counter() - last < QUIET:
        if got := len(t.read(0.002)):
            total, last = total + got, time.perf_counter()
    return last - began, total


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
    singles = [keys] if keys.startswith("\x1b") else list(keys)
    walls, sizes, before = [], [], cpu(t.pid)
    for _ in range(times):
        for key in singles:
            t.press(key)
            wall, size = answer(t)
            walls.append(wall)
            sizes.append(size)
    spent = (cpu(t.pid) - before) / len(walls)
    return {"frame_ms": 1e3 * statistics.median(walls), "cpu_ms": 1e3 * spent, "bytes": statistics.median(sizes)}


def measure(run: Path, repeats: int) -> dict[str, object]:
    """Everything, as plain data."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        frame, chart = first_frames(run, home, repeats)
        keys = {}
        with layerscope(str(run), "--fresh", size=(120, 40), cwd=home, environ=INSTALLED) as t:
            t.until(lambda text: "┤" in text)
            for name, (screen, key, times) in KEYS.items():
                t.press(screen)
                answer(t)
                t.press("\x1b[H0")
                answer(t)
                t.press("\x1b[F")
                answer(t)
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


def table(found: dict[str, object]) -> str:
    """The numbers beside their budgets."""
    rows = [
        ("first frame", f"{found['first_frame_s']:.2f} s", "< 0.8 s"),
        ("first chart", f"{found['first_chart_s']:.2f} s", ""),
        ("memory (peak)", f"{found['memory_mib']:.0f} ({found['peak_mib']:.0f}) MiB", "< 150 MiB"),
        ("idle for 3 s", f"{found['idle_bytes']} bytes, {found['idle_cpu_share']:.1%} of a core", "0 bytes"),
    ]
    keys = found["keys"]
    assert isinstance(keys, dict)
    rows += [
        (name, f"{k['frame_ms']:.0f} ms, CPU {k['cpu_ms']:.0f} ms, {k['bytes']:,.0f} bytes", "CPU < 50 ms, <= 60 kB")
        for name, k in keys.items()
    ]
    return "\n".join(f"{name:38} {value:36} {budget}" for name, value, budget in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--tensors", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5, help="starts, of which the median is taken")
    options = parser.parse_args()
    found = measure(written(options.steps, options.tensors), options.repeats)
    print(table(found))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
