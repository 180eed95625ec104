"""How close to the limit is the correlation of every pair of layers? Run: python benchmarks/correlation.py [ROUNDS]

The limit is the speed at which this machine multiplies large float32 matrices, on one thread, measured in every round
beside the rest. Needed are units x (units + 1) x samples operations: r of every two units once. For each set of layers:

    correlation     standardisation, product and r of every pair of layers
    summary         the five numbers of each pair, exact, without ever having all of r
    numpy.corrcoef  a loop over pairs of layers for the same r

All take turns, and of each the fastest round counts, the limit's too: what else the machine does makes a round slower,
never faster. Against numpy.corrcoef it is the fastest of as many rounds as that has.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from recorder.analysis.correlation import cross_correlation, pairs
from recorder.analysis.correlation_summary import correlation_summary

SIDE = 2048  # of the matrices whose product is the limit
SLOW_ROUNDS = 3
AIM, FASTER = 0.70, 8.0
OUT = Path(__file__).parent / "results" / "correlation.json"

LAYERS = {
    "4-layer MLP": (512, 256, 128, 10),
    "ResNet-18": (*[64] * 5, *[128] * 5, *[256] * 5, *[512] * 5, 10),
    "MLP 4 x 2,048": (2048,) * 4,
}
SAMPLES = (256, 1000)


@dataclass(frozen=True)
class Found:
    """One set of layers on one number of samples."""

    layers: str
    units: int
    samples: int
    limit_ms: float  # that the product would take at the limit
    correlation_ms: float
    correlation: float  # share of the limit
    summary_ms: float
    summary: float
    corrcoef_ms: float
    faster: float  # correlation than corrcoef


def seconds(function: Callable[[], object], repeats: int = 1) -> float:
    began = perf_counter()
    for _ in range(repeats):
        function()
    return (perf_counter() - began) / repeats


def corrcoef(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What one writes without thinking of speed."""
    return [
        np.corrcoef(layers[i], layers[j], rowvar=False)[: layers[i].shape[1], layers[i].shape[1] :]
        for i, j in pairs(len(layers))
    ]


def measured(name: str, samples: int, rounds: int) -> Found:
    random = np.random.default_rng(0)
    layers = [np.maximum(random.standard_normal((samples, d)), 0).astype(np.float32) for d in LAYERS[name]]
    left, right = (random.standard_normal((SIDE, SIDE)).astype(np.float32) for _ in range(2))
    units = sum(LAYERS[name])
    operations = units * (units + 1) * samples
    ways: dict[str, Callable[[], object]] = {
        "correlation": lambda: list(cross_correlation(layers).blocks()),
        "summary": lambda: correlation_summary(layers),
    }
    repeats = max(1, int(1e10 / operations))  # small ones many times: once loaded, as in a training
    times: dict[str, list[float]] = {way: [] for way in ("limit", *ways, "corrcoef")}
    for way in (*ways.values(), lambda: left @ right):
        way()  # loaded, and its memory there
    for turn in range(rounds):
        times["limit"].append(seconds(lambda: left @ right) / (2 * SIDE**3) * operations)
        for way, function in ways.items():
            times[way].append(seconds(function, repeats))
        if turn < SLOW_ROUNDS:
            times["corrcoef"].append(seconds(lambda: corrcoef(layers), min(repeats, 3)))
    limit, correlation, summary, slow = (1e3 * min(found) for found in times.values())
    return Found(
        name, units, samples, limit,
        correlation_ms=correlation, correlation=limit / correlation,
        summary_ms=summary, summary=limit / summary,
        corrcoef_ms=slow, faster=slow / (1e3 * min(times["correlation"][:SLOW_ROUNDS])),
    )  # fmt: skip


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    found = [measured(name, samples, rounds) for name in LAYERS for samples in SAMPLES]
    heads = ("limit", "correlation", "summary", "corrcoef")
    print(f"{'layers':15}{'units':>6}{'samples':>9}", *(f"{head:>16}" for head in heads))
    for f in found:
        cells = (
            f"{f.limit_ms:.1f} ms", f"{f.correlation_ms:.1f} ms {f.correlation:4.0%}",
            f"{f.summary_ms:.1f} ms {f.summary:4.0%}", f"{f.corrcoef_ms:.0f} ms, x {f.faster:.1f}",
        )  # fmt: skip
        print(f"{f.layers:15}{f.units:6,}{f.samples:9,}", *(f"{cell:>16}" for cell in cells))
    print(f"aimed at: at least {AIM:.0%} of the limit, {FASTER:.0f} x faster than numpy.corrcoef pair by pair")
    speed = max(f.units * (f.units + 1) * f.samples / f.limit_ms / 1e6 for f in found)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"limit_gflops": speed, "layers": [asdict(f) for f in found]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
