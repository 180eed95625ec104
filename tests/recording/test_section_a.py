"""Representations of a small torch net over its training, as recorded: numbers by hand, late layers, odd probes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway
from torch.utils.data import DataLoader, TensorDataset

from recorder import Probe, at_end, open_run, record
from recorder.errors import RecordError
from recorder.instruments import (
    AugmentationVariance,
    Cka,
    CorrelationSummary,
    EffectiveDimension,
    ProbeActivations,
    SampleCorrelation,
    UnitCorrelation,
)  # fmt: skip
from tests.instruments import representations as by_hand
from tests.recording import test_phases as phases
from tests.recording.section_a import assert_by_definition, everything
from tests.recording.test_torch_training import fresh, network, state, train

PROBE = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(9))
OFF = {"progress": False, "strict": True}


def recorded(path, *, probe=PROBE, instruments=None, epochs=2, model=None, **options):
    torch.manual_seed(0)
    model = model or network()
    with torch.no_grad():
        model[0].weight[1] = 0  # two dead units
        model[5].weight[:2] = 0
        model[5].bias[:2] = 1
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options = OFF | {"optimizer": optimizer} | options
    with record(model, path, probe=probe, instruments=instruments or everything(), **options) as run:
        train(run, model=model, optimizer=optimizer, epochs=epochs)
    return open_run(path)


def test_every_number_is_what_numpy_makes_of_the_activations(tmp_path):
    run = recorded(tmp_path / "a.h5")
    assert run.clock("cka").step.tolist() == [0, 6, 12]
    assert assert_by_definition(run) > 3000
    assert run["correlation_dead_units"]["0"].values.tolist() == [1, 0, 0]
    assert run["correlation_dead_units"]["5"].values.tolist() == [2, 0, 0]
    assert not np.array_equal(*run["cka"]["0 | 5"].values[:2])  # it is no comparison of always the same
    weighted = ["0", "5", "9"]
    assert list(run["unit_correlation_units"].items) == weighted
    own = run["unit_correlation"].item("5 | 5").values[0]
    assert np.isnan(own).sum() == 8 * 8 - 6 * 6
    assert not [e for e in run.events if e.kind in ("warning", "off")]


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_a_probe_with_fewer_samples_than_units(tmp_path, samples):
    run = recorded(tmp_path / "a.h5", probe=PROBE[:samples], epochs=1)
    assert_by_definition(run)
    assert "samples" not in run.series["cka"].doc
    assert not [e for e in run.events if e.kind in ("warning", "off")]
    cka, r = run["cka"].values, run["correlation_mean_abs"].values
    assert np.isnan(cka).all() if samples < 4 else np.isfinite(cka).any()
    assert np.isnan(r).all() if samples < 2 else np.isfinite(r).any()


def test_a_large_probe_is_looked_at_in_part(tmp_path):
    probe = torch.randn(150, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    run = recorded(tmp_path / "a.h5", probe=probe, epochs=1)
    assert_by_definition(run)
    assert run.series["sample_correlation"].shape == (100, 100)
    assert run.series["cka_gram"].shape == (128, 128)
    assert "of two layers on the first 128 samples" in run.series["cka"].doc


def test_a_network_that_burst_has_no_numbers_and_goes_on(tmp_path):
    model = network()
    with torch.no_grad():
        model[5].weight[3] = torch.nan
    run = recorded(tmp_path / "a.h5", model=model, epochs=1)
    assert not [e for e in run.events if e.kind == "off"]
    assert np.isnan(run["cka"]["5 | 5"].values[0])
    assert np.isfinite(run["correlation_mean"]["0 | 0"].values[0])
    assert_by_definition(run)


def test_another_probe_has_series_of_its_own(tmp_path):
    noise = torch.randn(9, 1, 6, 6, generator=torch.Generator().manual_seed(4))
    names = ["unit_correlation", "correlation_summary", "sample_correlation", "cka", "effective_dimension",
             "raw_activations", "probe_activations"]  # fmt: skip
    asked = [*everything(), *(f"{name}@noise" for name in names)]
    run = recorded(
        tmp_path / "a.h5", probe={"digits": Probe(PROBE), "noise": Probe(noise)}, instruments=asked, epochs=1
    )
    assert assert_by_definition(run) != assert_by_definition(run, "@noise")
    assert run.series["cka_gram@noise"].shape == (9, 9)
    assert run.series["probe_prediction@noise"].items == ("noise",)
    asked = [Cka(probe="noise", samples=8), UnitCorrelation("5", units=3, probe="noise")]
    only = recorded(tmp_path / "b.h5", probe={"digits": Probe(PROBE), "noise": Probe(noise)}, instruments=asked)
    assert only.series["cka_gram@noise"].shape == (8, 8)
    assert only.series["unit_correlation@noise"].ragged == ((3, 3),)


def test_layers_units_samples_and_positions_are_chosen(tmp_path):
    asked = [
        UnitCorrelation(["0", "Linear"], units=4), SampleCorrelation("*", samples=7),
        Cka(["0", "5"], samples=10, spatial="flatten"), CorrelationSummary("0", spatial="flatten"),
        EffectiveDimension("Conv2d", spatial="flatten"), *everything()[-2:],
    ]  # fmt: skip
    run = recorded(tmp_path / "a.h5", instruments=asked, epochs=1)
    activations = {layer: run.values("raw_activation", layer).astype(float) for layer in ("0", "5", "9")}
    x = {layer: a[0].reshape(24, -1) for layer, a in activations.items()}
    kept = run["unit_correlation_units"].item("5").values[0]
    np.testing.assert_array_equal(kept, np.sort(np.argsort(-x["5"].var(0), kind="stable")[:4]))
    np.testing.assert_array_equal(run["unit_correlation_units"].item("5").values[1], kept)  # the same ones ever after
    assert list(run.series["unit_correlation"].ragged) == [(4, 4)] * 3 + [(4, 3)] * 2 + [(3, 3)]
    for step in (0, 1):
        np.testing.assert_allclose(
            run["unit_correlation"].item("0 | 5").values[step],
            by_hand.correlation(by_hand.units(activations["0"][step]), activations["5"][step][:, kept]), atol=1e-5,
        )  # fmt: skip
    np.testing.assert_allclose(run["cka"]["0 | 5"].values[0], by_hand.cka(x["0"][:10], x["5"][:10]), atol=1e-5)
    np.testing.assert_allclose(
        run["effective_dimension"]["0"].values[0], by_hand.effective_dimension(x["0"]), rtol=1e-5
    )
    assert run.series["effective_dimension"].items == ("0",)
    expected = by_hand.summary(x["0"], x["0"], own=True)
    for name, value in expected.items():
        np.testing.assert_allclose(run[f"correlation_{name}"]["0 | 0"].values[0], value, rtol=1e-5)
    np.testing.assert_allclose(
        run["sample_correlation"].item("5").values[0], by_hand.samples_alike(x["5"][:7]), atol=1e-5
    )
    said = run.series["unit_correlation"].doc, run.series["cka"].doc, run.series["sample_correlation"].doc
    assert "of 3 of 7 layers, positions averaged" in said[0]
    assert "of 2 of 7 layers, each position a unit" in said[1]
    assert "of every two samples, positions averaged" in said[2]


def test_layers_that_come_with_a_phase_have_rows_from_then_on(tmp_path):
    torch.manual_seed(0)
    model, path = phases.Net(), tmp_path / "a.h5"
    optimizer = torch.optim.Adam(model.parameters())
    with phases.recorded(path, model, None, instruments=everything()) as run:
        phases.loop(run, model, optimizer, 10)
        optimizer = phases.finetune(model, classes=5)
        run.phase("finetune")
        phases.loop(run, model, optimizer, 10)
    run = open_run(path)
    assert not [e for e in run.events if e.kind in ("warning", "off")]
    assert_by_definition(run)
    assert run["effective_dimension"].items == ("body.0", "body.1", "head", "head (5)")
    steps = {item: run["cka"][item].step[np.isfinite(run["cka"][item].values)].tolist() for item in run["cka"].items}
    assert steps["body.0 | head"] == [0, 10]
    assert steps["body.0 | head (5)"] == steps["head (5) | head (5)"] == [20]
    assert steps["body.0 | body.0"] == [0, 10, 20]
    assert steps["head | head (5)"] == []  # they were never there together
    assert run["unit_correlation"].item("body.0 | head (5)").values.shape == (1, 8, 5)
    assert list(run["unit_correlation_units"].items) == ["body.0", "head", "head (5)"]
    answered = run["probe_prediction"].item("probe").values  # those of the new head have another shape
    assert np.isfinite(answered).all(axis=(1, 2)).tolist() == [True, True, False]


def test_the_training_is_the_same_bit_for_bit(tmp_path):
    """Batch norm's statistics, dropout's draws, the weights: with everything that looks at probes."""
    data = TensorDataset(torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(2)), torch.arange(64) % 3)

    def trained(recording=None):
        model, _ = fresh()
        model[5] = torch.nn.Linear(144, 8)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        options = {"model": model, "optimizer": optimizer, "loader": DataLoader(data, batch_size=16, shuffle=True)}
        if recording is None:
            train(**options)
        else:
            probe = Probe(data.tensors[0][:12])
            with record(model, recording, optimizer=optimizer, probe=probe, instruments=asked, **OFF) as run:
                train(run, **options)
        return state(model, optimizer)

    asked = ["full", "augmentation_variance", "probe_activations"]
    bare, found = trained(), trained(tmp_path / "a.h5")
    assert found.keys() == bare.keys()
    assert all(torch.equal(found[name], bare[name]) for name in bare)
    series = open_run(tmp_path / "a.h5").series
    assert series.keys() >= {"cka", "unit_correlation", "augmentation_variance", "probe_activation"}


class Looking(torch.nn.Module):
    """A convolution, its mean over the positions, and a head."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = torch.nn.Conv2d(1, 5, 3), torch.nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean(dim=(2, 3)))


def augmented(path, probe, *, instruments, **options):
    torch.manual_seed(0)
    model = Looking()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, path, optimizer=optimizer, probe=probe, instruments=instruments, **OFF, **options) as run:
        train(run, model=model, optimizer=optimizer, epochs=1)
    return open_run(path)


@pytest.mark.parametrize("given", [True, False])
def test_augmentations_move_units_as_the_analysis_of_variance_says(tmp_path, given):
    images = torch.rand(6, 1, 9, 9, generator=torch.Generator().manual_seed(5))
    asked = ["augmentation_variance", at_end("raw_activations@augmentations")]
    if given:
        more = {"augmentations": Probe.augmented(images, samples=(0, 3, 4), count=41)}
        run = augmented(tmp_path / "a.h5", {"digits": Probe(images), **more}, instruments=asked)
    else:
        run = augmented(tmp_path / "a.h5", images, instruments=asked)
    made = run.meta["probes"]["augmentations"]["augmentations"]
    assert len(made) == (126 if given else 303)
    origin = np.array([one["sample"] for one in made])
    transforms = list(dict.fromkeys(one["transform"] for one in made if one["transform"] != "identity"))
    strengths = sorted({one["strength"] for one in made if one["transform"] != "identity"})
    assert run.clock("augmentation_variance").step.tolist() == [6]  # once, at the end
    for layer in ("conv", "head"):
        x = by_hand.units(run.values("raw_activation@augmentations", layer)[0])
        share = run["augmentation_variance"].item(layer).values[0]
        np.testing.assert_allclose(share, by_hand.variance_within(x, origin), rtol=1e-5)
        if given:  # F = (between / (k - 1)) / (within / (n - k))
            groups = [x[origin == one] for one in np.unique(origin)]
            f = f_oneway(*groups).statistic
            k, n = len(groups), len(x)
            np.testing.assert_allclose((1 - share) / (k - 1) / (share / (n - k)), f, rtol=1e-4)
            assert (share < 1).all()
        cosine = run["augmentation_cosine"].item(layer).values[0]
        expected = [[by_hand.cosine_to_clean(x, made, t, s) for s in strengths] for t in transforms]
        np.testing.assert_allclose(cosine, expected, rtol=1e-5)
        r = run["augmentation_feature_correlation"].item(layer).values[0]
        np.testing.assert_allclose(r, by_hand.correlation(x, x), atol=1e-5)
        alike = run["augmentation_sample_correlation"].item(layer).values[0]
        np.testing.assert_allclose(alike, by_hand.samples_alike(x), atol=1e-5)
        assert run["augmentation_feature_units"].item(layer).values[0].tolist() == list(range(x.shape[1]))


def test_augmentations_of_what_are_no_images_are_refused(tmp_path):
    model = torch.nn.Linear(7, 2)
    options = {"optimizer": torch.optim.SGD(model.parameters(), 0.1), "probe": torch.randn(4, 7)}
    with pytest.raises(RecordError, match="augmented: samples of shape \\(7,\\) cannot be told to be images"):
        record(model, tmp_path / "a.h5", instruments="augmentation_variance", **options, **OFF)
    with pytest.raises(RecordError, match="looks at a probe of augmented images, and 'digits' is none"):
        asked = [AugmentationVariance(probe="digits")]
        probe = {"digits": Probe(torch.randn(4, 7))}
        record(model, tmp_path / "a.h5", instruments=asked, optimizer=options["optimizer"], probe=probe, **OFF)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: UnitCorrelation("fc9"), "layers: nothing matches 'fc9'; there are 0, 1"),
        (lambda: UnitCorrelation(units=0), "UnitCorrelation(units=0): expected at least 1"),
        (lambda: SampleCorrelation(samples=0), "SampleCorrelation(samples=0): expected at least 1"),
        (lambda: Cka(samples=3), "Cka(samples=3): expected at least 4"),
        (lambda: EffectiveDimension(spatial="max"), "spatial='max': choose from mean, flatten"),
        (lambda: AugmentationVariance(samples=0), "AugmentationVariance(units=256, samples=0): expected at least 1"),
        (lambda: Cka(probe="noise"), "looks at the probe 'noise'; there is 'probe'. Give"),
    ],
)
def test_what_cannot_be_is_refused_at_the_door(tmp_path, make, said):
    with pytest.raises(RecordError) as refused:
        recorded(tmp_path / "a.h5", instruments=[make()])
    assert said in str(refused.value)


def test_activations_rest_when_they_have_taken_what_they_may(tmp_path):
    run = recorded(tmp_path / "a.h5", instruments=[ProbeActivations("Linear", max_size=2 * 24 * (11 * 2 + 3 * 4))])
    assert run.clock("probe_activation").step.tolist() == [0, 6]
    assert run.series["probe_activation"].dtype == "float16"
    assert [e.text for e in run.events if e.kind == "thinned"] == [
        "probe_activations reached its max_size of 0.001632 MB; it rests"
    ]
    digest = run.meta["probes"]["probe"]["digest"]
    assert digest == recorded(tmp_path / "b.h5", instruments="effective_dimension").meta["probes"]["probe"]["digest"]
    assert digest != recorded(tmp_path / "c.h5", probe=PROBE + 1, epochs=0).meta["probes"]["probe"]["digest"]
