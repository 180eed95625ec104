"""What does it cost to look at gradients with other tools, and with plain operations?

Each peer is a context manager around a training; it gives the function that is called with the loss at each step,
between the gradients and the update. The first three count at every step what `dynamics` counts, tensor by tensor, and
keep it in memory, which costs them nothing on disk:

    the same in torch  as one writes it with care: everything in torch, and all numbers leave it together
    the same in numpy  over the tensors' own memory
    numpy callback     the usual callback: all gradients and all weights as one vector each, and the counts over these

The tools record what they can: TensorBoard and wandb histograms of gradients and weights at every step, trainscope its
default. None of them has what `dynamics` has. They live in an environment of their own, `.venv-peers`, which sees the
packages of the one that runs the benchmark, and which is made by the first run (0.3 GB).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

ENVIRONMENT = Path(__file__).parents[1] / ".venv-peers"
PACKAGES = ("wandb==0.31.0", "trainscope==1.8.1", "tensorboard==2.21.0")
TAU = (1e-5, 1e-7)
COLUMNS = (
    "gradient_norm", "near_zero", "near_zero_tight", "near_zero_retained", "near_zero_released", "near_zero_flips",
    "near_zero_minima", "near_zero_maxima", "sign_flips", "minima", "maxima", "update_norm",
)  # fmt: skip

Watch = Callable[[float], object]
Peer = Callable[[nn.Module, Optimizer, Path], AbstractContextManager[Watch]]


def enter_environment() -> None:
    """Go on in the environment that has the peers; make it first. Without a package index: a word, and go on here."""
    if all(find_spec(package.partition("==")[0]) for package in PACKAGES) or "LAYERSCOPE_PEERS" in os.environ:
        return
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".ready").exists():
        print(f"Setting up {ENVIRONMENT.name}: {', '.join(PACKAGES)}.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        here = sysconfig.get_path("purelib")
        there = sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)})
        Path(there, "beside.pth").write_text(f"import site; site.addsitedir({here!r})\n")
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *PACKAGES]
        if subprocess.run(pip, check=False).returncode:
            print("The other tools cannot be installed, so they are left out.", flush=True)
            return
        (ENVIRONMENT / ".ready").touch()
    os.environ["LAYERSCOPE_PEERS"] = "1"  # whoever is still missing then is left out
    os.execv(python, [str(python), *sys.argv])


@contextmanager
def torch_operations(model: nn.Module, _optimizer: Optimizer, _folder: Path) -> Iterator[Watch]:
    """The statistics of `dynamics` in torch."""
    before: dict[str, tuple[torch.Tensor, ...]] = {}
    rows: list[np.ndarray] = []

    @torch.no_grad()
    def watch(_loss: float) -> np.ndarray:
        columns = []
        for name, parameter in model.named_parameters():
            if (g := parameter.grad) is None:
                continue
            w, size = parameter, g.abs()
            near, tight = size <= TAU[0], size <= TAU[1]
            found = [g.norm(), near.sum(), tight.sum()]
            if name in before:
                g_before, w_before, was_near = before[name]
                retained, flips, change = near & was_near, g * g_before < 0, w - w_before
                s = (g - g_before) * change
                minima, maxima = flips & (s > 0), flips & (s < 0)
                masks = (retained, was_near & ~near, flips & retained, minima & retained, maxima & retained)
                found += [mask.sum() for mask in (*masks, flips, minima, maxima)] + [change.norm()]
            else:
                found += [torch.zeros(())] * (len(COLUMNS) - 4) + [torch.tensor(torch.nan)]
            columns.append(torch.stack([x.double() for x in found]))
            before[name] = g.clone(), w.detach().clone(), near
        rows.append(torch.stack(columns).numpy())
        return rows[-1]

    yield watch


def counted(
    g: np.ndarray, w: np.ndarray, before: tuple[np.ndarray, ...] | None
) -> tuple[list[float], tuple[np.ndarray, ...]]:
    """-> the columns of one vector, and what is compared with next"""
    size = np.abs(g)
    near, tight = size <= TAU[0], size <= TAU[1]
    found = [np.linalg.norm(g), near.sum(), tight.sum()]
    if before is None:
        found += [0] * (len(COLUMNS) - 4) + [np.nan]
    else:
        g_before, w_before, was_near = before
        retained, flips, change = near & was_near, g * g_before < 0, w - w_before
        s = (g - g_before) * change
        minima, maxima = flips & (s > 0), flips & (s < 0)
        masks = (retained, was_near & ~near, flips & retained, minima & retained, maxima & retained)
        found += [mask.sum() for mask in (*masks, flips, minima, maxima)] + [np.linalg.norm(change)]
    return found, (g, w, near)


@contextmanager
def numpy_operations(model: nn.Module, _optimizer: Optimizer, _folder: Path) -> Iterator[Watch]:
    """The statistics of `dynamics` in numpy, tensor by tensor."""
    before: dict[str, tuple[np.ndarray, ...]] = {}
    rows: list[np.ndarray] = []

    def watch(_loss: float) -> np.ndarray:
        columns = []
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                g, w = (x.detach().numpy().ravel() for x in (parameter.grad, parameter))
                found, (_, _, near) = counted(g, w, before.get(name))
                before[name] = g.copy(), w.copy(), near
                columns.append(found)
        rows.append(np.array(columns, dtype=np.float64))
        return rows[-1]

    yield watch


@contextmanager
def numpy_callback(model: nn.Module, _optimizer: Optimizer, _folder: Path) -> Iterator[Watch]:
    """The same over all parameters as one vector."""
    before: tuple[np.ndarray, ...] | None = None
    rows: list[list[float]] = []

    def watch(_loss: float) -> list[float]:
        nonlocal before
        parameters = [p for p in model.parameters() if p.grad is not None]
        g = np.concatenate([p.grad.detach().numpy().ravel() for p in parameters])
        w = np.concatenate([p.detach().numpy().ravel() for p in parameters])
        found, before = counted(g, w, before)
        rows.append(found)
        return found

    yield watch


@contextmanager
def tensorboard(model: nn.Module, _optimizer: Optimizer, folder: Path) -> Iterator[Watch]:
    """Histograms of gradients and weights, and the loss, at every step."""
    from torch.utils.tensorboard import SummaryWriter

    step = 0
    with SummaryWriter(str(folder / "tensorboard")) as writer:

        def watch(loss: float) -> None:
            nonlocal step
            writer.add_scalar("loss", loss, step)
            for name, parameter in model.named_parameters():
                writer.add_histogram(name, parameter, step)
                if parameter.grad is not None:
                    writer.add_histogram(f"{name}.gradient", parameter.grad, step)
            step += 1

        yield watch


@contextmanager
def wandb_watch(model: nn.Module, _optimizer: Optimizer, folder: Path) -> Iterator[Watch]:
    """wandb.watch(log="all") at every step, offline; the CPU time of its service, another process, is not counted."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder)}
    import wandb

    run = wandb.init(mode="offline", dir=str(folder), settings=wandb.Settings(silent=True, console="off"))
    run.watch(model, log="all", log_freq=1)
    try:
        yield lambda loss: run.log({"loss": loss})
    finally:
        run.unwatch(model)
        run.finish()


@contextmanager
def trainscope(model: nn.Module, optimizer: Optimizer, folder: Path) -> Iterator[Watch]:
    """Its default: norms and extremes at every step, activations at each fifth, histograms of weights at each 50th."""
    from trainscope import TrainScope
    from trainscope.core.config import TrainScopeConfig

    logging.getLogger("trainscope").setLevel(logging.ERROR)
    with TrainScope(model, optimizer, TrainScopeConfig(run_dir=str(folder), run_name="trainscope")) as scope:
        yield scope.step


PEERS: dict[str, tuple[str, Peer]] = {  # what is printed -> the package it needs, the peer
    "the same in torch": ("torch", torch_operations),
    "the same in numpy": ("numpy", numpy_operations),
    "numpy callback, one vector": ("numpy", numpy_callback),
    "TensorBoard histograms": ("tensorboard", tensorboard),
    "wandb.watch, offline": ("wandb", wandb_watch),
    "trainscope": ("trainscope", trainscope),
}


def present() -> dict[str, Peer]:
    """Those whose packages are here."""
    return {name: peer for name, (package, peer) in PEERS.items() if find_spec(package)}
