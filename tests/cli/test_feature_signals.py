"""Are the figures of feature signals there for everyone, by the names that `make assets` calls them?"""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.make import FEATURE_SIGNALS
from recorder import Probe, at_end, open_run, record
from recorder.entries import entries
from recorder.instruments import (
    AugmentationVariance,
    Cka,
    CorrelationSummary,
    SampleCorrelation,
    UnitCorrelation,
)
from tui import cli

SAMPLES = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of two steps; images of which two are augmented."""
    import torch
    from torch import nn

    path = tmp_path_factory.mktemp("runs") / "small.h5"
    torch.manual_seed(0)
    layers = {"flatten": nn.Flatten(), "linear1": nn.Linear(64, 12), "relu": nn.ReLU(), "output": nn.Linear(12, 4)}
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    images = torch.rand(SAMPLES, 1, 8, 8)
    labels = [k % 4 for k in range(SAMPLES)]
    probes = {
        "probe": Probe(images, labels=labels, classes=["cat", "dog", "owl", "fox"]),
        "augmentations": Probe.augmented(images, samples=(0, 1), count=40),
    }
    asked = [CorrelationSummary(), UnitCorrelation(), SampleCorrelation(), Cka(), at_end(AugmentationVariance())]
    with record(
        model, path, optimizer=optimizer, instruments=asked, probe=probes, progress=False, strict=True
    ) as recording:
        for _ in range(2):
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.rand(8, 1, 8, 8)).square().mean().backward()
                optimizer.step()
                recording.step()
            recording.epoch()
    return path


@pytest.mark.parametrize("name", FEATURE_SIGNALS)
def test_each_figure_is_written_with_its_numbers_and_says_what_it_shows(run, name, tmp_path, capsys):
    out = tmp_path / f"{Path(name).name}.svg"
    arguments = ["export", str(run), *FEATURE_SIGNALS[name], "-o", str(out), "--csv", "--caption"]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert out.stat().st_size > 5000
    assert list(tmp_path.glob("*.csv"))
    caption = out.with_suffix(".txt").read_text()
    augmented = "aug" in FEATURE_SIGNALS[name][0]
    assert ("images" in caption or "augmentations" in caption) if augmented else f"{SAMPLES} samples" in caption
    if "--item" in FEATURE_SIGNALS[name]:
        assert "linear1" in caption or "output" in caption
        assert "at step 4" in caption


def test_one_for_each_step(run, tmp_path, capsys):
    arguments = ["unit_correlation", "--item", "linear1 | output", "--step", "all", "--format", "svg", "-o"]
    assert cli.main(["export", str(run), *arguments, f"{tmp_path}/"]) == 0, capsys.readouterr().err
    assert sorted(p.stem.rpartition("-")[2] for p in tmp_path.iterdir()) == ["0", "2", "4"]


@pytest.mark.parametrize("name", ["corr_means", "cka_to_first", "cka_of_steps"])
def test_what_is_over_all_steps_is_one_figure(run, name, tmp_path, capsys):
    asked = [name, "--step", "all", "--format", "svg", "-o", f"{tmp_path}/"]
    assert cli.main(["export", str(run), *asked]) == 0, capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == [f"{name}.svg"]


def test_a_map_of_samples_with_the_two_that_are_asked_for(run, tmp_path, capsys):
    out = tmp_path / "samples.svg"
    asked = ["sample_correlation", "--samples", "3", "6", "--caption", "-o", str(out)]
    assert cli.main(["export", str(run), *asked]) == 0, capsys.readouterr().err
    assert "samples 3: fox and 6: owl" in out.with_suffix(".txt").read_text()


def test_in_a_notebook_as_well(run):
    with open_run(run) as found:
        shown = found.chart("sample_correlation", "output", samples=(3, 6))
        assert "samples 3: fox and 6: owl" in shown.caption


def test_everything_that_is_there_can_be_exported(run, tmp_path, capsys):
    assert cli.main(["export", str(run), "--all", "--format", "svg", "-o", f"{tmp_path}/"]) == 0
    assert capsys.readouterr().err == ""
    with open_run(run) as found:
        assert {p.stem for p in tmp_path.iterdir()} == {e.name for e in entries(found)}
