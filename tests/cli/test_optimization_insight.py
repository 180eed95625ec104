"""Are the seven figures of what gradients do there for everyone, by the names that `make assets` calls them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assets.make import OPTIMIZATION_INSIGHT
from recorder import every, open_run, record
from recorder.chart import Chart, Line
from recorder.entries import chart_of, entries
from recorder.instruments import NearZero, SignMap
from tui import cli


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs of four steps."""
    import torch
    from torch import nn

    path = tmp_path_factory.mktemp("runs") / "small.h5"
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    asked = ["dynamics", every(1, NearZero(tau=1e-2)), SignMap(tau=1e-2)]
    with record(model, path, optimizer=optimizer, instruments=asked, progress=False, strict=True) as recording:
        for _ in range(3):
            for _ in range(4):
                optimizer.zero_grad()
                model(torch.randn(8, 20)).square().mean().backward()
                optimizer.step()
                recording.step()
            recording.epoch()
    return path


@pytest.mark.parametrize("name", OPTIMIZATION_INSIGHT)
def test_each_figure_is_written_with_its_numbers(run, name, tmp_path, capsys):
    out = tmp_path / f"{name}.svg"
    arguments = ["export", str(run), *OPTIMIZATION_INSIGHT[name], "-o", str(out), "--csv", "--caption"]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert out.stat().st_size > 5000
    caption = out.with_suffix(".txt").read_text()
    if "per_epoch" in name:
        assert "mean over the recorded steps of each epoch (3 epochs, 12 steps)" in caption
    assert list(tmp_path.glob("*.csv"))


def test_a_mean_per_epoch_is_that_of_the_recorded_series(run):
    with open_run(run) as found:
        assert set(OPTIMIZATION_INSIGHT) <= {e.name for e in entries(found)}
        chart = chart_of(found, "weight_change_per_epoch")
        assert isinstance(chart, Chart)
        (line,) = [m for m in chart.marks if isinstance(m, Line)]
        norms = found["weight_change_norm_total"].values.reshape(3, 4)
        np.testing.assert_allclose(line.y, np.nanmean(norms, axis=1), rtol=1e-6)
