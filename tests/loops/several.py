"""Trains with each framework in every process that torchrun starts: `torchrun -m tests.loops.several FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.loops import test_accelerate, test_lightning, test_transformers


def main(folder: Path) -> None:
    saved = {}
    _, saved["accelerate"], _ = test_accelerate.train(folder / "accelerate.h5")
    _, saves = test_transformers.trained(folder, test_transformers.each_step(folder / "transformers.h5"))
    saved["transformers"] = saves.saved
    record = test_lightning.each_step(folder / "lightning.h5")
    saved["lightning"] = test_lightning.fit(folder, record, strategy="ddp", devices=2).saved
    if torch.distributed.get_rank() == 0:
        torch.save({name: one.gradients for name, one in saved.items()}, folder / "gradients.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
