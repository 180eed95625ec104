"""Activation statistics on activations that are known, and the shares derived from the counts."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.chart import Chart
from recorder.charting.shares import Shares
from recorder.entries import chart_of, entries
from recorder.errors import NotRecordedError
from recorder.instruments import ActivationStatistics
from recorder.reading import Facts, LayerFacts
from recorder.runfile.schema import Clock
from recorder.view import At, Window
from tests.fakes import FakeRun
from tests.instruments.readings import FACTS, reading

ACTIVATIONS = {
    "relu": np.array([[0.0, 1, 7], [0, 2, 7], [0, 3, 7], [0, 4, 7], [0, 5, 7]]),  # units 0 and 2 are dead
    "conv": np.arange(160.0).reshape(5, 2, 4, 4),
    "tanh": np.array([[1.0, 0], [-0.95, 0.1], [0.89, 0.2], [np.inf, 0.3], [0.9, np.nan]]),
}


def measured():
    instrument = ActivationStatistics()
    series = {s.name: s for s in instrument.declare(FACTS)}
    return series, instrument.measure(reading(activations=ACTIVATIONS))


def test_numbers():
    series, row = measured()
    assert series["activation_mean"].items == ("relu", "conv", "tanh")
    np.testing.assert_allclose(row["activation_mean"][:2], [(0 + 15 + 35) / 15, 79.5])
    np.testing.assert_allclose(
        row["activation_std"][:2], [np.std(ACTIVATIONS["relu"], ddof=1), np.std(np.arange(160), ddof=1)]
    )
    assert row["activation_zero_count"].tolist() == [5, 1, 1]
    assert row["activation_dead_units"].tolist() == [2, 0, 0]
    assert row["activation_nonfinite"].tolist() == [0, 0, 2]


def test_only_bounded_layers_saturate():
    series, row = measured()
    assert series["activation_saturated_count"].items == ("tanh",)
    assert row["activation_saturated_count"].tolist() == [4]  # 1, -0.95, inf and 0.9


def test_without_bounded_layers_there_is_no_saturation():
    facts = Facts("torch", (), (LayerFacts("relu", "ReLU", (3,)),), 5)
    instrument = ActivationStatistics()
    names = [s.name for s in instrument.declare(facts)]
    assert "activation_saturated_count" not in names
    assert list(instrument.measure(reading(activations=ACTIVATIONS))) == names


def recorded(rows=3):
    """A run in which every row is that of ACTIVATIONS."""
    series, row = measured()
    clock = Clock(np.arange(rows) * 10, np.arange(rows), np.arange(rows, dtype=float))
    layers = [{"name": layer.name, "kind": layer.kind, "shape": list(layer.shape)} for layer in FACTS.layers]
    data = {name: (s, clock, np.stack([row[name]] * rows)) for name, s in series.items()}
    from dataclasses import replace

    data = {name: (replace(s, instrument="activation_statistics"), c, v) for name, (s, c, v) in data.items()}
    return FakeRun(data=data, meta={"layers": layers, "probe_samples": 5})


@pytest.mark.parametrize(
    ("name", "layer", "share"),
    [
        ("activation_zero_share", "relu", 5 / 15),
        ("activation_zero_share", "conv", 1 / 160),
        ("activation_dead_share", "relu", 2 / 3),
        ("activation_saturated_share", "tanh", 4 / 10),
    ],
)
def test_shares_are_derived_on_reading(name, layer, share):
    run = recorded()
    assert name in {e.name for e in entries(run)}
    chart = chart_of(run, name, At(item=layer), Window())
    assert isinstance(chart, Chart)
    lines = [m for m in chart.marks if hasattr(m, "y") and m.y is not None and len(m.y) == 3]
    assert any(np.allclose(m.y, share) for m in lines)


def test_all_layers_at_once_are_a_view_too():
    for name in ("activation_zero_share", "activation_dead_share", "activation_saturated_share"):
        assert chart_of(recorded(), name, At(), Window()) is not None


def test_a_share_whose_whole_is_not_known_is_nan():
    run = Shares(recorded(), "activation_zero_count", "activation_zero_share", "Zeros.", {"relu": 15})
    step, values = run.row("activation_zero_share")
    assert step == 20
    np.testing.assert_array_equal(values, [5 / 15, np.nan, np.nan])
    assert run.series["activation_zero_share"].unit == "1"
    assert len(run.clock("activation_zero_share")) == 3
    clock, rows = run.rows("activation_zero_share", "relu", Window())
    np.testing.assert_allclose(rows, 5 / 15)
    assert clock.step.tolist() == [0, 10, 20]


def test_a_share_is_read_by_its_name(tmp_path):
    import torch

    from recorder import open_run, record

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2), torch.nn.Tanh())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, tmp_path / "r.h5", probe=torch.randn(5, 4), instruments="full", progress=False) as run:
        for _ in range(3):
            model(torch.randn(5, 4)).square().mean().backward()
            optimizer.step()
            run.step()
            run.epoch()
    run = open_run(tmp_path / "r.h5")
    shares, counted = run["activation_zero_share"], run["activation_zero_count"]
    wholes = np.array([5 * {"1": 6, "3": 2, "0": 6, "2": 2}[layer] for layer in shares.items])
    np.testing.assert_allclose(shares.values, counted.values / wholes)
    np.testing.assert_array_equal(shares.step, counted.step)
    np.testing.assert_array_equal(shares.item("1").values, shares.values[:, shares.items.index("1")])
    assert list(shares.to_pandas().columns) == list(counted.items)
    assert run["activation_dead_share"].values.shape == (4, 4)
    assert run["activation_saturated_share"].items == ("3",)
    with pytest.raises(NotRecordedError, match="did you mean 'activation_zero"):
        run["activation_zero_shares"]
