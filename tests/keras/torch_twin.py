"""The torch recording of the parity test, in a process and an environment of its own.

python -m tests.keras.torch_twin FOLDER: weights and data are in FOLDER/data.npz, the run becomes FOLDER/torch.h5.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from recorder import record
from tests.keras.parity import BATCHES, EPOCHS, MOMENTUM, RATE, everything


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with np.load(folder / "data.npz") as data:
        weights = {name.removeprefix("w:"): data[name] for name in data.files if name.startswith("w:")}
        x, probe = data["x"], torch.from_numpy(data["probe"])
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM)
    options = {"optimizer": optimizer, "probe": probe, "instruments": everything(), "progress": False, "strict": True}
    with record(model, folder / "torch.h5", **options) as run:
        for _ in range(EPOCHS):
            for batch in np.split(x, BATCHES):
                optimizer.zero_grad()
                loss = model(torch.from_numpy(batch)).square().mean()
                loss.backward()
                optimizer.step()
                run.step(loss=loss)
            run.epoch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
