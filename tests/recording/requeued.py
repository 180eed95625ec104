"""A training that may be killed and queued again at any time; run in a process of its own by `test_resume_torch`."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
import torch._dynamo
from torch import nn

from recorder import every, instruments, notebook, record
from recorder.adapters.torch import adapter
from recorder.analysis import statistics

STEPS, PER_EPOCH, SAVED_EVERY = 90, 20, 6
INSTRUMENTS = [every(1, "gradient_norm"), every(1, "weight_norm"), every(5, "activation_statistics"), "update_ratio"]


LOADED = (torch._dynamo, instruments, notebook, adapter)  # once, in the process that all of them are forked from
statistics.warm_up({np.dtype("float32")})


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same whoever asks."""
    x = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
    return x, x[:, :3].sin()


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write the user's own checkpoint, whole or not at all."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def train(path: Path, checkpoint: Path, told: Connection | None = None, on_sigterm: str = "") -> None:
    """The user's script, as it is started each time; with `told` it says each step that is done, and waits for a word.

    `on_sigterm`: "flag" has it leave the loop in order, "raise" by an exception.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    stopping: list[int] = []
    if on_sigterm:
        handlers = {"flag": lambda *_: stopping.append(1), "raise": lambda *_: sys.exit(143)}
        signal.signal(signal.SIGTERM, handlers[on_sigterm])
    options = {"optimizer": optimizer, "probe": batch(0)[0], "instruments": INSTRUMENTS, "progress": False}
    with record(model, path, resume=True, step=step, strict=True, meta={"began_at": step}, **options) as run:
        while run.steps < STEPS and not stopping:
            x, y = batch(run.steps)
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss=loss)
            if run.steps % PER_EPOCH == 0:
                run.epoch(accuracy=1 / run.steps)
            if run.steps % SAVED_EVERY == 0:
                save(checkpoint, model, optimizer, run.steps)
            if told is not None:
                told.send(run.steps)
                told.recv()
        if stopping:
            save(checkpoint, model, optimizer, run.steps)
