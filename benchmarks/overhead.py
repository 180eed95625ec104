"""How much slower is a training step with recording, by preset and by instrument, and with other tools?

python benchmarks/overhead.py [PERIODS] [--only presets instruments peers pass]

Two trainings: an MLP of 0.57 million parameters on batches of 128 digits, and torchvision's ResNet-18 on batches of 64
pictures of 32 x 32, each on one thread. For each variant a bare and a recorded training take turns, step by step. The
steps of a period (what `light` records repeats after ten; fast steps are read in groups of up to 16) are summed and
divided: the ratio of seconds, and that of CPU seconds of the whole process, the writer's thread included, which
other programs on the machine disturb less. Printed are medians over the periods, and the quartiles of the first. What
happens once an epoch (the probe batch, histograms) is timed by itself and spread over epochs of 157 steps: 10,000
samples in batches of 64.

The peers (`peers.py`) take their turns in the same way: the statistics of `dynamics` in plain operations, and what
wandb, TensorBoard and trainscope record at every step. They run in an environment that the first run makes.

The last table holds the fused pass alone, over a tensor that no cache holds, against its limit: the bytes it has to
move, over the bandwidth at which this thread reads memory. First parts of it; then what a preset asks of it at the
steps of an epoch, in the mean: that of `full` has a budget.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import peers
import torch
import torchvision
from torch import nn

from recorder import record
from recorder.adapters.torch.host import HostPass
from recorder.analysis import signs, turns
from recorder.analysis.statistics import Kept, Table
from recorder.instruments import INSTRUMENTS
from recorder.reading import COMPARING, OF_SIGNS, Facts, Plan, Statistic, TensorFacts
from recorder.recording.conductor import Conductor
from recorder.recording.player import players
from recorder.recording.presets import PRESETS, chosen
from recorder.schedule import Moment

EPOCH = 157  # steps
EPOCHS = 5  # ends of epochs that are timed
LIMIT = 25  # seconds for a peer, of which some take many times the training's
PARTS = ("presets", "instruments", "peers", "pass")
OUT = Path(__file__).parent / "results" / "overhead.json"

TURNED = {Statistic.GRADIENT_ANGLE, Statistic.SECANT_CURVATURE}  # what the gradient before is for

VARIANTS: dict[str, dict[str, Any]] = {
    "presets": {"scalars only": (), **{name: name for name in PRESETS}},
    "instruments": {instrument.name: (instrument.name,) for instrument in INSTRUMENTS},
}
BUDGETS = {  # of a step with recording, in bare steps
    ("MLP 0.57 M", "light"): 1.05,
    ("MLP 0.57 M", "dynamics"): 1.15,
    ("ResNet-18, 32 x 32", "light"): 1.03,
    ("ResNet-18, 32 x 32", "dynamics"): 1.08,
}
PASS_BUDGETS = {"full": 1.25}  # of the pass of a preset, in the time that its bytes take


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
    budget: float | None = None


class Training:
    """A network with its optimizer and one batch; `period` steps are summed up."""

    def __init__(self, model: nn.Module, images: torch.Tensor, *, period: int) -> None:
        self.model = model
        self.period = period
        self.images = images
        self.labels = torch.arange(len(images)) % 10
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step(self, watch: Callable[[float], object] | None = None) -> float:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        if watch is not None:
            watch(loss.item())
        self.optimizer.step()
        return loss.item()


def mlp() -> Training:
    widths = (784, 512, 256, 128)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())]
    return Training(nn.Sequential(*layers, nn.Linear(widths[-1], 10)), torch.randn(128, 784), period=40)


def resnet18() -> Training:
    return Training(torchvision.models.resnet18(num_classes=10), torch.randn(64, 3, 32, 32), period=10)


def timed(call: Callable[[], Any]) -> np.ndarray:
    """-> seconds, CPU seconds"""
    wall, cpu = perf_counter(), process_time()
    call()
    return np.array([perf_counter() - wall, process_time() - cpu])


class Turns:
    """A bare and a watched training step take turns, period by period."""

    def __init__(self, bare: Callable[[], Any], watched: Callable[[], Any], steps: int) -> None:
        self.bare, self.watched, self.steps = bare, watched, steps
        self.sums: list[np.ndarray] = []  # of a period: (bare or watched, seconds or CPU seconds)
        self.firsts: list[float] = []  # seconds of each period's first watched step

    def period(self, *, keep: bool = True) -> None:
        took = np.array([[timed(self.bare), timed(self.watched)] for _ in range(self.steps)])
        if keep:
            self.sums.append(took.sum(axis=0))
            self.firsts.append(took[0, 1, 0])

    def row(self, network: str, variant: str, epoch: float = 0.0) -> Row:
        """`epoch` are the seconds of what happens once an epoch."""
        sums = np.array(self.sums)
        low, middle, high = np.quantile(sums[:, 1, 0] / sums[:, 0, 0], [0.25, 0.5, 0.75])
        cpu_ratio = float(np.median(sums[:, 1, 1] / sums[:, 0, 1]))
        bare, watched = np.median(sums[:, :, 0], axis=0) / self.steps
        whole = middle + epoch / (EPOCH * bare)
        budget = BUDGETS.get((network, variant))
        return Row(network, variant, watched * 1e3, middle, (low, high), cpu_ratio, epoch * 1e3, whole, budget)


def with_recording(network: str, make: Callable[[], Training], variant: str, asked: Any, periods: int) -> Row:
    bare, recorded = make(), make()
    epochs = []
    with (
        tempfile.TemporaryDirectory() as folder,
        record(
            recorded.model, f"{folder}/run.h5", optimizer=recorded.optimizer, probe=recorded.images,
            instruments=asked, progress=False,
        ) as run,
    ):  # fmt: skip

        def step() -> None:
            run.step(loss=recorded.step())

        turns_ = Turns(bare.step, step, bare.period)
        turns_.period(keep=False)  # it warms up, and begins an epoch
        for _ in range(periods):
            turns_.period()
        for _ in range(EPOCHS):
            end = timed(run.epoch)[0]  # the probe batch; histograms come with the first step that follows
            epochs.append(end + timed(step)[0] - statistics.median(turns_.firsts))
            for _ in range(bare.period - 1):
                step()
    return turns_.row(network, variant, max(0.0, statistics.median(epochs)))


def with_peer(network: str, make: Callable[[], Training], name: str, peer: peers.Peer, periods: int) -> Row:
    bare, watched = make(), make()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        peer(watched.model, watched.optimizer, Path(folder)) as watch,
    ):
        turns_ = Turns(bare.step, lambda: watched.step(watch), bare.period)
        for _ in range(2):  # what is compared with the step before is there from the second on
            bare.step()
            watched.step(watch)
        began = perf_counter()
        while len(turns_.sums) < periods and (not turns_.sums or perf_counter() - began < LIMIT):
            turns_.period()
    return turns_.row(network, name)


@dataclass(frozen=True)
class Limit:
    """The fused pass over one tensor of `entries` float32, against memory bandwidth."""

    what: str
    entries: int
    bytes_an_entry: float
    ns_an_entry: float
    limit_ns: float

    @property
    def budget(self) -> float | None:
        return PASS_BUDGETS.get(self.what)


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
        "angles and curvature": ([*turns.ANGLES, *turns.QUANTILES], True, 32 + planes),
    }
    rows = []
    for what, (names, keep, size) in wanted.items():
        table = Table(names, 1)

        def measure(table: Table = table, keep: bool = keep, names: Sequence[str] = names) -> None:
            compares = keep and not {*signs.NAMES}.isdisjoint(names)
            turning = keep and not {*turns.QUANTILES}.isdisjoint(names)
            table.measure(0, gradient, weight, kept=kept, keep=keep, keep_signs=compares or turning, keep_turns=turning)

        rows.append(Limit(what, entries, size, fastest(measure) / entries * 1e9, read * size * 1e9))
    for preset in ("dynamics", "full"):
        taken, size = epoch(preset, entries)
        rows.append(Limit(preset, entries, size, taken / entries * 1e9, read * size * 1e9))
    return rows


def epoch(preset: str, entries: int) -> tuple[float, float]:
    """What a preset asks of the pass at the steps of an epoch, in the mean: seconds, and bytes an entry to be moved."""
    weight = nn.Parameter(torch.randn(entries))
    weight.grad = torch.randn(entries)
    facts = Facts("torch", (TensorFacts("weight", (entries,), "float32", ""),), ())
    conductor, host = Conductor(players(chosen(preset, facts), facts), lambda *_: None), HostPass(["weight"])
    seconds, size = [], []
    for t in range(2 * EPOCH):  # in the first the pass gets to know what it compares with, and how long an epoch is
        conductor.move_to(Moment(t, t // EPOCH, t, epoch_begins=not t % EPOCH))
        plan = conductor.plan()
        start = perf_counter()
        host.update(plan, [(0, weight)], None, None)
        seconds.append(perf_counter() - start)
        size.append(bytes_of(plan))
        host.rows()
        with torch.no_grad():
            weight.add_(weight.grad, alpha=-1e-4)
    return sum(seconds[EPOCH:]) / EPOCH, sum(size[EPOCH:]) / EPOCH


def bytes_of(plan: Plan) -> float:
    """What the pass has to move for an entry in float32: each number once, gradients twice for `near_zero_relative`."""
    wanted = plan.statistics
    found = 8.0 + 4 * (Statistic.NEAR_ZERO_RELATIVE in wanted)
    found += 4 * (not COMPARING.isdisjoint(wanted)) + 4 * plan.keep_weights
    found += 3 / 8 * ((not OF_SIGNS.isdisjoint(wanted)) + plan.keep_signs)
    found += 4 * (not TURNED.isdisjoint(wanted)) + 4 * (Statistic.UPDATE_COSINE in wanted) + 8 * plan.keep_turns
    found += 8 * len(plan.raw)  # copied for an instrument that looks at the entries themselves
    averages = plan.averages
    return found if averages is None else found + 16 + (bytes_of(averages) if averages else 0)


def fastest(call: Callable[[], Any], times: int = 7) -> float:
    call()
    found = []
    for _ in range(times):
        start = perf_counter()
        call()
        found.append(perf_counter() - start)
    return min(found)


NETWORKS: dict[str, tuple[Callable[[], Training], float]] = {  # and the share of the periods
    "MLP 0.57 M": (mlp, 1.0),
    "ResNet-18, 32 x 32": (resnet18, 0.2),
}


def rows(network: str, part: str, periods: int) -> Iterable[Row]:
    make, share = NETWORKS[network]
    several = max(3, int(share * periods))
    if part == "peers":
        yield from (with_peer(network, make, name, peer, several) for name, peer in peers.present().items())
    else:
        for variant, asked in VARIANTS[part].items():
            yield with_recording(network, make, variant, asked, several)


def keep(part: str, found: list[dict[str, Any]]) -> None:
    """Into the results; those of other parts stay."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(OUT.read_text()) if OUT.exists() else {}
    OUT.write_text(json.dumps(results | {part: found}, indent=1) + "\n")


def main(periods: int, parts: Sequence[str]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found: dict[str, list[dict[str, Any]]] = {part: [] for part in parts if part != "pass"}
    for network in NETWORKS:
        heads = f"{'ms a step':>10} {'x bare':>8} {'quartiles':>15} {'x CPU':>8} {'ms an epoch':>12} {'x, whole':>9}"
        print(f"\n{network:28} {heads} {'budget':>7}")
        for part in found:
            for row in rows(network, part, periods):
                found[part].append(asdict(row))
                low, high = row.quartiles
                print(
                    f"{row.variant:28} {row.step_ms:10.2f} {row.ratio:8.3f} {low:7.3f} {high:7.3f} {row.cpu_ratio:8.3f}"
                    f" {row.epoch_ms:12.2f} {row.whole:9.3f} {row.budget or '':>7}",
                    flush=True,
                )
    for part, some in found.items():
        keep(part, some)
    if "pass" in parts:
        print(f"\n{'one pass over a tensor':32} {'ns an entry':>12} {'limit':>8} {'x limit':>8} {'budget':>7}")
        passes = limits()
        for limit in passes:
            ratio = limit.ns_an_entry / limit.limit_ns
            print(
                f"{limit.what:32} {limit.ns_an_entry:12.3f} {limit.limit_ns:8.3f} {ratio:8.2f} {limit.budget or '':>7}",
                flush=True,
            )
        keep("pass", [asdict(p) for p in passes])
    print(f"\nwritten: {OUT.name}; `make readme` brings it into the README")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("periods", nargs="?", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    if "peers" in asked.only:
        peers.enter_environment()
    main(asked.periods, asked.only)
