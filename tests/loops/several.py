"""Trains with each framework in two processes, each told by torchrun's variables which one it is.

They are forks of one that has imported all frameworks, which takes longer than the trainings.
"""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import torch

from tests.loops import test_accelerate, test_lightning, test_transformers
from tests.recording.several import ended


def started(folder: Path, *, size: int = 2) -> list[int | None]:
    """-> their exit codes"""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun's agent
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_one, args=(folder, rank, size, store.port)) for rank in range(size)]
    return ended(processes)


def _one(folder: Path, rank: int, size: int, port: int) -> None:
    told = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    local = {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": 0}
    agent = {"TORCHELASTIC_RUN_ID": "tests", "TORCHELASTIC_USE_AGENT_STORE": True}
    os.environ |= {name: str(value) for name, value in (told | local | agent).items()}
    test_accelerate.reset()
    main(folder)
    torch.distributed.destroy_process_group()


def main(folder: Path) -> None:
    """The script of a user."""
    saved = {}
    _, saved["accelerate"], _ = test_accelerate.train(folder / "accelerate.h5")
    _, saves = test_transformers.trained(folder, test_transformers.each_step(folder / "transformers.h5"))
    saved["transformers"] = saves.saved
    record = test_lightning.each_step(folder / "lightning.h5")
    saved["lightning"] = test_lightning.fit(folder, record, strategy="ddp", devices=2).saved
    if torch.distributed.get_rank() == 0:
        torch.save({name: one.gradients for name, one in saved.items()}, folder / "gradients.pth")
