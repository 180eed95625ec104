"""Two processes that train together make one run, whose rows are the reduced gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recorder import open_run
from recorder.runfile.schema import State
from tests.loops.nets import BATCHES, EPOCHS
from tests.loops.several import started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    assert started(folder) == [0, 0]
    return folder


@pytest.mark.parametrize("framework", ["accelerate", "lightning", "transformers"])
def test_one_run_of_the_reduced_gradients(folder, framework):
    run = open_run(folder / f"{framework}.h5")
    saved = torch.load(folder / "gradients.pth")[framework]
    assert (run.state, run.steps) == (State.DONE, EPOCHS * BATCHES // 2)
    assert run.meta["processes"] == 2
    assert sorted(path.name for path in folder.glob("*.h5")) == ["accelerate.h5", "lightning.h5", "transformers.h5"]
    series = run["gradient_norm"]
    rows = [[float(row[name.removeprefix("net.")].double().norm()) for name in series.items] for row in saved]
    np.testing.assert_allclose(series.values, rows, rtol=1e-6)
