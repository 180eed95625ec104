"""A short training recorded in full, and what was compiled for it when: python -m tests.analysis.compiling PATH"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from recorder import record
from recorder.analysis import compiled
from tests.adapters.nets import GradientDescent, NumpyNet


def signatures() -> dict[str, int]:
    """The compiled functions that are loaded, and for how many types each."""
    functions = {name: f for name, f in vars(compiled).items() if hasattr(f, "signatures")}
    return {name: len(f.signatures) for name, f in functions.items() if f.signatures}


def trained(path: Path) -> dict[str, Any]:
    net, x = NumpyNet(np.random.default_rng(0)), np.ones((8, 4), np.float32)
    optimizer = GradientDescent(net, 0.1)
    with record(net, path, optimizer=optimizer, probe=x, instruments="full", progress=False, strict=True) as run:
        entry = signatures()
        for _ in range(13):
            net.backward(x)
            optimizer.step()
            run.step()
        run.epoch()
    misses = {name: sum(getattr(compiled, name).stats.cache_misses.values()) for name in entry}
    return {"entry": entry, "later": signatures(), "misses": sum(misses.values())}


if __name__ == "__main__":
    print(json.dumps(trained(Path(sys.argv[1]))))
