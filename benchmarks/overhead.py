"""How much slower is a training step with recording, by preset and by instrument?

python benchmarks/overhead.py [PERIODS]

Two trainings: an MLP of 0.57 million parameters on batches of 128 digits, and torchvision's ResNet-18 on batches of 64
pictures of 32 x 32, each on one thread. For each variant a bare and a recorded training take turns, step by step. The
steps of a period of ten (what `light` records repeats after ten) are summed and divided: the ratio of seconds, and that
of CPU seconds of the whole process, the writer's thread included, which other programs on the machine disturb less.
Printed are medians over the periods, and the quartiles of the first. What happens once an epoch (the probe batch,
histograms) is timed by itself and spread over epochs of 157 steps: 10,000 samples in batches of 64.

The last table holds the fused pass alone against its limit: the bytes it has to move, over the bandwidth at which this
thread reads memory. Histograms are bound by computing a column for each entry, not by memory.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

from recorder import record
from recorder.analysis import signs, turns
from recorder.analysis.statistics import FLAGS, Kept, Table
from recorder.recording.presets import PRESETS

PERIOD, EPOCH = 10, 157  # steps
EPOCHS = 5  # ends of epochs that are timed
OUT = Path(__file__).parent / "results" / "overhead.json"

VARIANTS: dict[str, Any] = {
    "scalars only": (),
    **{name: name for name in PRESETS},
    **{
        name: (name,)
        for name in (
            "gradient_norm", "weight_norm", "update_ratio", "weight_change", "near_zero", "sign_flips",
            "local_extrema", "gradient_angle", "change_cosine", "secant_curvature", "near_zero_movement",
            "moving_averages", "sign_map", "activation_statistics", "weight_histogram", "gradient_histogram",
            "activation_histogram", "raw_snapshots", "raw_activations",
        )
    },
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One variant of one training."""

    network: str
    variant: str
    step_ms: float
    ratio: float  # to the bare step, without what happens once an epoch
    quartiles: tuple[float, float]
    cpu_ratio: float
    epoch_ms: float
    whole: float  # the ratio with that


class Training:
    """A network with its optimizer and one batch."""

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        self.model = model
        self.images = images
        self.labels = torch.arange(len(images)) % 10
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss


def mlp() -> Training:
    widths = (784, 512, 256, 128)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())]
    return Training(nn.Sequential(*layers, nn.Linear(widths[-1], 10)), torch.randn(128, 784))


def resnet18() -> Training:
    return Training(torchvision.models.resnet18(num_classes=10), torch.randn(64, 3, 32, 32))


def compared(network: str, make: Callable[[], Training], variant: str, periods: int) -> Row:
    bare, recorded = make(), make()
    ratios, cpu_ratios, bare_seconds, seconds, epochs = [], [], [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        record(
            recorded.model, f"{folder}/run.h5", optimizer=recorded.optimizer, probe=recorded.images,
            instruments=VARIANTS[variant], progress=False,
        ) as run,
    ):  # fmt: skip

        def step() -> None:
            run.step(loss=recorded.step().item())

        def timed(call: Callable[[], Any]) -> np.ndarray:
            wall, cpu = perf_counter(), process_time()
            call()
            return np.array([perf_counter() - wall, process_time() - cpu])

        firsts = []
        for period in range(periods + 1):
            sums = np.zeros((2, 2))
            for k in range(PERIOD):
                took = np.array([timed(lambda: bare.step().item()), timed(step)])
                sums += took
                if k == 0 and period > 0:
                    firsts.append(took[1, 0])
            if period > 0:  # the first one warms up, and begins an epoch
                wall, cpu = sums[1] / sums[0]
                ratios.append(wall)
                cpu_ratios.append(cpu)
                bare_seconds.append(sums[0, 0] / PERIOD)
                seconds.append(sums[1, 0] / PERIOD)
        for _ in range(EPOCHS):
            end = timed(run.epoch)[0]  # the probe batch; histograms come with the first step that follows
            epochs.append(end + timed(step)[0] - statistics.median(firsts))
            for _ in range(PERIOD - 1):
                step()
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    epoch = max(0.0, statistics.median(epochs))
    return Row(
        network, variant, statistics.median(seconds) * 1e3, middle, (low, high), statistics.median(cpu_ratios),
        epoch * 1e3, middle + epoch / (EPOCH * statistics.median(bare_seconds)),
    )  # fmt: skip


@dataclass(frozen=True)
class Limit:
    """The fused pass over one tensor of `entries` float32, against memory bandwidth."""

    what: str
    entries: int
    bytes_an_entry: float
    ns_an_entry: float
    limit_ns: float


def limits(entries: int = 20_000_000) -> list[Limit]:
    rng = np.random.default_rng(0)
    gradient, weight = (rng.standard_normal(entries, np.float32) for _ in range(2))
    kept = Kept.room_for(weight)
    read = fastest(lambda: np.dot(gradient, gradient)) / (4 * entries)  # seconds a byte
    norms = ["gradient_norm", "gradient_nonfinite"]
    all_norms = [*norms, "weight_norm", "weight_nonfinite", "update_norm"]
    planes = 2 * 3 / 8  # bytes an entry: three bits read and written
    wanted: dict[str, tuple[Sequence[str], bool, float]] = {
        "gradient norm": (norms, False, 4),
        "gradient and weight norm": ([*norms, "weight_norm", "weight_nonfinite"], False, 8),
        "both, and keeping the weights": ([*norms, "weight_norm", "weight_nonfinite"], True, 12),
        "all norms, keeping the weights": (all_norms, True, 16),
        "the ten of `dynamics`": ([*all_norms, *signs.NAMES], True, 16 + planes),
        "gradient histogram": (["gradient_histogram"], False, 4),
        "angles and curvature": ([*turns.ANGLES, *turns.QUANTILES], True, 40 + planes),
        "everything": (list(FLAGS), True, 40 + planes),
    }
    rows = []
    for what, (names, keep, size) in wanted.items():
        table = Table(names, 1)

        def measure(table: Table = table, keep: bool = keep, names: Sequence[str] = names) -> None:
            compares = keep and not {*signs.NAMES}.isdisjoint(names)
            turning = keep and not {*turns.QUANTILES}.isdisjoint(names)
            table.measure(0, gradient, weight, kept=kept, keep=keep, keep_signs=compares or turning, keep_turns=turning)

        rows.append(Limit(what, entries, size, fastest(measure) / entries * 1e9, read * size * 1e9))
    return rows


def fastest(call: Callable[[], Any], times: int = 7) -> float:
    call()
    found = []
    for _ in range(times):
        start = perf_counter()
        call()
        found.append(perf_counter() - start)
    return min(found)


def main(periods: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows: list[Row] = []
    for network, make, share in (("MLP 0.57 M", mlp, 1.0), ("ResNet-18, 32 x 32", resnet18, 0.2)):
        heads = f"{'ms a step':>10} {'x bare':>8} {'quartiles':>15} {'x CPU':>8} {'ms an epoch':>12} {'x, whole':>9}"
        print(f"\n{network:24} {heads}")
        for variant in VARIANTS:
            row = compared(network, make, variant, max(3, int(share * periods)))
            rows.append(row)
            low, high = row.quartiles
            print(
                f"{row.variant:24} {row.step_ms:10.2f} {row.ratio:8.3f} {low:7.3f} {high:7.3f} {row.cpu_ratio:8.3f} "
                f"{row.epoch_ms:12.2f} {row.whole:9.3f}",
                flush=True,
            )
    print(f"\n{'one pass over a tensor':32} {'ns an entry':>12} {'limit':>8} {'x limit':>8}")
    passes = limits()
    for limit in passes:
        ratio = limit.ns_an_entry / limit.limit_ns
        print(f"{limit.what:32} {limit.ns_an_entry:12.3f} {limit.limit_ns:8.3f} {ratio:8.2f}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"steps": [asdict(r) for r in rows], "pass": [asdict(p) for p in passes]}, indent=1))
    print(f"\nwritten: {OUT.name}; `make readme` brings it into the README")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
