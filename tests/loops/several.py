"""Trains with each framework in two processes, as torchrun has them: `python -m tests.loops.several FOLDER`.

They are forked from one that has imported the frameworks, which takes longer than all trainings.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from multiprocessing.connection import wait
from pathlib import Path

import torch

from tests.loops import test_accelerate, test_lightning, test_transformers

SIZE = 2


def trained(folder: Path) -> None:
    """In each of the processes."""
    saved = {}
    _, saved["accelerate"], _ = test_accelerate.train(folder / "accelerate.h5")
    _, saves = test_transformers.trained(folder, test_transformers.each_step(folder / "transformers.h5"))
    saved["transformers"] = saves.saved
    record = test_lightning.each_step(folder / "lightning.h5")
    saved["lightning"] = test_lightning.fit(folder, record, strategy="ddp", devices=SIZE).saved
    if torch.distributed.get_rank() == 0:
        torch.save({name: one.gradients for name, one in saved.items()}, folder / "gradients.pth")


def as_torchrun(folder: Path, rank: int, port: int) -> None:
    """With the environment that torchrun gives."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": SIZE, "LOCAL_WORLD_SIZE": SIZE, "GROUP_RANK": 0,
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "tests"}  # fmt: skip
    os.environ |= {name: str(value) for name, value in told.items()}
    trained(folder)


def main(folder: Path) -> int:
    """-> how many processes failed"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=as_torchrun, args=(folder, rank, port)) for rank in range(SIZE)]
    for one in processes:
        one.start()
    while running := [one for one in processes if one.exitcode is None]:
        wait([one.sentinel for one in running])
        if any(one.exitcode for one in processes):
            for one in running:
                one.kill()  # it would wait for the one that failed
    return sum(one.exitcode != 0 for one in processes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
