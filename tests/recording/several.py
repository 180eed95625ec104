"""A small training as several processes run it, and how to start them quickly.

`started` forks them from one server that has imported torch once; `script` is what a user has, for torchrun.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard

from recorder import Probe, record

PATIENCE = 300.0  # seconds until a test gives up on its processes
STEPS, SAMPLES = 6, 8

Wrap = Callable[[nn.Module], nn.Module]


def network() -> nn.Sequential:
    """Odd sizes, so that shards differ; a tensor of one entry, which lies in one process only; a frozen one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Linear(3, 1))
    model[0].bias.requires_grad_(False)
    return model


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    draws = torch.Generator().manual_seed(1)
    return [(torch.randn(SAMPLES, 5, generator=draws), torch.randn(SAMPLES, 1, generator=draws)) for _ in range(STEPS)]


def probe() -> torch.Tensor:
    return torch.linspace(-1, 1, 20).reshape(4, 5)


def probes() -> dict[str, Probe]:
    """Two, of which the second is passed by itself."""
    return {"one": Probe(probe()), "two": Probe(2 * probe() + 1)}


def alone(model: nn.Module) -> nn.Module:
    return model


def distributed_data_parallel(model: nn.Module) -> nn.Module:
    return nn.parallel.DistributedDataParallel(model)


def fsdp2(model: nn.Module) -> nn.Module:
    for layer in (model[0], model[2]):  # type: ignore[index]
        fully_shard(layer)
    return fully_shard(model)


def train(wrap: Wrap, path: Path | None, *, rank: int = 0, size: int = 1, each: Callable[[int], None] = lambda _: None,
          told: bool = True, epochs: bool = True, sgd: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
          **options: Any) -> dict[str, torch.Tensor]:  # fmt: skip
    """-> the weights; each process has its share of every batch.

    `path` None: not recorded; `told`: whether the run is told of steps, `epochs`: and of epochs.
    """
    model = wrap(network())
    optimizer = sgd([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    instruments = ["full", "activation_statistics@two", "raw_activations@two"]
    options = {"probe": probes(), "instruments": instruments, "progress": False, **options}
    with nullcontext() if path is None else record(model, path, optimizer=optimizer, **options) as run:
        for step, (x, y) in enumerate(batches()):
            share = slice(rank * SAMPLES // size, (rank + 1) * SAMPLES // size)
            optimizer.zero_grad()
            loss = (model(x[share]) - y[share]).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            each(step)
            if run is not None and told:
                run.step(loss=loss)
                if step % 3 == 2 and epochs:
                    run.epoch(val_loss=1.0)
    return {name: x.full_tensor() if hasattr(x, "full_tensor") else x for name, x in model.state_dict().items()}


def started(work: Callable[..., None], folder: Path, *given: Any, size: int = 2) -> list[int | None]:
    """Run `work(folder, rank, size, *given)` in so many processes; -> their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.recording.several"])
    processes = [context.Process(target=_one, args=(work, folder, r, size, *given), daemon=True) for r in range(size)]
    return ended(processes)


def ended(processes: Sequence[BaseProcess]) -> list[int | None]:
    """Start them all and wait for them, for PATIENCE at most; -> their exit codes."""
    for one in processes:
        one.start()
    until = time.monotonic() + PATIENCE
    for one in processes:
        one.join(max(0.0, until - time.monotonic()))
        if one.is_alive():
            one.kill()
            one.join()
    return [one.exitcode for one in processes]


def _one(work: Callable[..., None], folder: Path, rank: int, size: int, *given: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size)
    work(folder, rank, size, *given)
    torch.distributed.destroy_process_group()


def killed() -> None:
    """As the kernel does it where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def same(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    """Whether they agree within float32, under the names of the bare model."""
    mine = {name.removeprefix("module."): x for name, x in weights.items()}
    return mine.keys() == others.keys() and all(
        np.allclose(mine[name].numpy(), x.numpy(), rtol=1e-5, atol=1e-6) for name, x in others.items()
    )


def main(folder: Path) -> None:
    """The script of a user: it does not say in how many processes it runs."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if size > 1:
        torch.distributed.init_process_group("gloo")
    torch.set_num_threads(1)
    train(alone if size == 1 else distributed_data_parallel, folder / "data-parallel.h5", rank=rank, size=size)
    train(alone if size == 1 else fsdp2, folder / "sharded.h5", rank=rank, size=size)
    if size > 1:

        def each(step: int) -> None:
            if step == 4 and rank == 1:
                killed()

        train(fsdp2, folder / "killed.h5", rank=rank, size=size, each=each)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
