"""Probes in a recorded training: several by name, their inputs and pictures in the run, no trace in the model."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from recorder import Probe, each_epoch, open_run, record
from recorder.analysis.augmentations import IDENTITY
from recorder.charting import probe_samples
from recorder.charting.kept_inputs import inputs, probe_facts, thumbnail
from recorder.charting.probed import Probed
from recorder.entries import chart_of
from recorder.errors import RecordError
from recorder.instruments import ActivationStatistics, RawActivations
from recorder.probe import AUGMENTATIONS, INPUT
from recorder.reading import Facts, Need, Reading
from recorder.recording import probe_input as keeping
from recorder.runfile.schema import Kind, Series
from recorder.view import At

IMAGES = torch.randn(60, 1, 9, 9, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(60) % 3
MEAN, STD = 0.3, 0.5


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(196, 8),
        nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3),
    )  # fmt: skip


def probes() -> dict[str, Probe]:
    return {
        "digits": Probe((IMAGES[:7], LABELS[:7]), classes=["a", "b", "c"], mean=MEAN, std=STD),
        "noise": Probe(IMAGES[7:12] * 2),
        "augmented": Probe.augmented((IMAGES, LABELS), samples=(3, 1), count=11, mean=MEAN, std=STD),
    }


class Predictions:
    """What the model predicts, and who else is there to be seen."""

    name = "predictions"
    statistics = frozenset()
    needs = frozenset({Need.PROBE})

    def __init__(self, probe: str = "") -> None:
        self.probe = probe
        self.seen: list[set[str]] = []

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        self.default = facts.default_probe
        shape = (facts.probe_samples, 3)
        return (Series("prediction", Kind.RAW, "", "Predictions.", ("model",), shape),)

    def measure(self, reading: Reading):
        self.seen.append(set(reading.probes))
        return {"prediction": reading.outputs[self.probe or self.default][None]}


def train(path=None, *, steps=4, model=None, epochs=2, **options):
    """-> the model, and everything that a probe could have changed"""
    model = network() if model is None else model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    run = None if path is None else record(
        model, path, optimizer=optimizer, progress=False, **{"probe": probes(), "strict": True, **options}
    )  # fmt: skip
    torch.manual_seed(5)
    if run is not None:
        run.__enter__()
    for _ in range(epochs):
        for _ in range(steps):
            chosen = torch.randint(0, 60, (16,))
            loss = nn.functional.cross_entropy(model(IMAGES[chosen]), LABELS[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if run is not None:
                run.step(loss=loss)
        if run is not None:
            run.epoch()
    if run is not None:
        run.__exit__(None, None, None)
    return model, {**model.state_dict(), "random": torch.get_rng_state()}


def everything() -> list:
    names = ["activation_statistics", "activation_statistics@noise", "activation_histogram@augmented"]
    return ["light", *map(each_epoch, names), Predictions("noise")]


def test_several_probes_disturb_nothing_bit_for_bit(tmp_path):
    _, alone = train()
    _, recorded = train(tmp_path / "r.h5", instruments=everything())
    assert alone.keys() == recorded.keys()
    for name, tensor in alone.items():
        assert torch.equal(tensor, recorded[name]), name


def test_each_probe_is_measured_as_if_it_were_the_only_one(tmp_path):
    train(tmp_path / "r.h5", instruments=everything())
    several = open_run(tmp_path / "r.h5")
    for name, probe in probes().items():
        train(tmp_path / f"{name}.h5", probe=probe, instruments=["activation_statistics", "activation_histogram"])
        alone = open_run(tmp_path / f"{name}.h5")
        suffix = "" if name == "digits" else f"@{name}"
        compared = [s for s in alone.series if f"{s}{suffix}" in several.series and s.startswith("activation")]
        assert compared
        for series in compared:
            np.testing.assert_array_equal(several[f"{series}{suffix}"].values, alone[series].values, err_msg=series)


def test_a_suffix_is_in_the_names_of_series_of_what_is_derived_and_of_the_schedule(tmp_path):
    train(tmp_path / "r.h5", instruments=everything())
    run = open_run(tmp_path / "r.h5")
    assert run.series["activation_mean@noise"].instrument == "activation_statistics@noise"
    assert run.meta["schedules"]["activation_statistics@noise"] == "each epoch"
    units = {layer["name"]: layer["shape"] for layer in run.meta["layers"]}
    share, counts = run["activation_zero_share@noise"], run["activation_zero_count@noise"]
    wholes = [5 * np.prod(units[layer]) for layer in counts.items]
    np.testing.assert_allclose(share.values, counts.values / wholes)
    assert "Probe batch of 5 samples" in chart_of(run, "activation_zero_share@noise").caption
    assert "Probe batch of 7 samples" in chart_of(run, "activation_zero_share").caption


def test_only_those_probes_are_passed_that_somebody_looks_at(tmp_path):
    two, default = Predictions("noise"), Predictions()
    model, _ = train(tmp_path / "r.h5", instruments=[each_epoch(two), each_epoch(default)])
    assert two.seen == [{"digits", "noise"}] * 3
    run = open_run(tmp_path / "r.h5")
    model.eval()
    for series, images in (("prediction", IMAGES[:7]), ("prediction@noise", IMAGES[7:12] * 2)):
        with torch.no_grad():
            np.testing.assert_array_equal(run[series].values[-1][0], model(images).numpy())
    alone = Predictions("noise")
    train(tmp_path / "s.h5", instruments=[each_epoch(alone)])
    assert alone.seen == [{"noise"}] * 3


class Breaking(nn.Module):
    """Refuses one size of batch from some moment on."""

    def __init__(self):
        super().__init__()
        self.inner, self.refused = network(), 0

    def forward(self, x):
        if len(x) == self.refused:
            raise ValueError("on purpose")
        return self.inner(x)


@pytest.mark.parametrize(("samples", "whole"), [(7, "@noise"), (5, "")])  # of the probe that is refused
def test_where_the_pass_of_one_probe_fails_others_are_measured(tmp_path, samples, whole):
    model = Breaking()
    names = ["activation_statistics", "activation_statistics@noise"]
    with record(model, tmp_path / "r.h5", probe=probes(), instruments=[each_epoch(n) for n in names], progress=False,
                flight_recorder=0) as run:  # fmt: skip
        for epoch in range(3):
            model.refused = samples if epoch else 0
            run.step(loss=0.0)
            with pytest.warns(UserWarning, match="failed at step") if epoch == 1 else nullcontext():
                run.epoch()
    found = open_run(tmp_path / "r.h5")
    failed = "" if whole else "@noise"
    assert np.isfinite(found[f"activation_mean{whole}"].values).all(axis=1).tolist() == [True] * 4
    assert np.isfinite(found[f"activation_mean{failed}"].values).any(axis=1).tolist() == [True, True, False, False]
    (said,) = [event.text for event in found.events if event.kind == "off"]
    assert said.startswith(f"activation_statistics{failed} failed at step 2 and is switched off")
    assert "probe: Breaking failed on" in said


def test_the_default_probe_by_its_name_is_the_default_one(tmp_path):
    train(tmp_path / "r.h5", instruments=[each_epoch(ActivationStatistics(probe="digits"))])
    assert "activation_mean" in open_run(tmp_path / "r.h5").series


@pytest.mark.parametrize(
    ("instruments", "said"),
    [
        (
            ["activation_statistics@nose"],
            "looks at the probe 'nose'; there are 'digits', 'noise', 'augmented'. Give it as",
        ),
        ([RawActivations(probe="nose")], "'raw_activations' looks at the probe 'nose'"),
        (["gradient_norm@noise"], "'gradient_norm@noise': 'gradient_norm' looks at no probe"),
        (["activation_statistic@noise"], "no preset or instrument is called 'activation_statistic@noise'"),
        (["activation_statistics", ActivationStatistics(probe="digits")], "already filled by 'activation_statistics'"),
    ],
)
def test_a_probe_that_there_is_not(tmp_path, instruments, said):
    with pytest.raises(RecordError, match=said):
        record(network(), tmp_path / "r.h5", probe=probes(), instruments=instruments, progress=False)
    assert not (tmp_path / "r.h5").exists()


def test_what_is_known_of_probes_is_in_the_run(tmp_path):
    train(tmp_path / "r.h5")
    run, given = open_run(tmp_path / "r.h5"), probes()
    digits, noise, augmented = (probe_facts(run, name) for name in given)
    assert probe_facts(run, "other") is None
    assert (digits.samples, digits.labels, digits.classes) == (7, (0, 1, 2, 0, 1, 2, 0), ("a", "b", "c"))
    assert (digits.mean, digits.std, digits.layout, digits.dtypes) == ((MEAN,), (STD,), "image", {"": "float32"})
    assert digits.outputs == {"": (3,)}
    assert noise.labels == ()
    assert noise.digest != digits.digest
    assert augmented.augmentations == given["augmented"].augmentations
    assert augmented.labels == (0,) * 12 + (1,) * 12
    assert run.meta["probe_samples"] == 7


def test_inputs_are_kept_exactly_and_seen_as_the_images_they_were(tmp_path):
    train(tmp_path / "r.h5")
    run, given = open_run(tmp_path / "r.h5"), probes()
    for name, probe in given.items():
        kept = inputs(run, name)[""]
        expected = probe.inputs[0] if isinstance(probe.inputs, tuple) else probe.inputs
        np.testing.assert_array_equal(kept, expected.numpy())
        assert kept.dtype == np.float32
    picture = thumbnail(run, "digits", 4)
    np.testing.assert_allclose(picture, np.clip(IMAGES[4, 0].numpy() * STD + MEAN, 0, 1), atol=1e-6)
    assert thumbnail(run, "digits", 7) is None
    plate = chart_of(run, INPUT, At(item="digits", sample=5))
    assert [chart.title for chart in plate.charts] == [Probed(run, f"{INPUT}@digits").name(k) for k in (5, 6)]
    np.testing.assert_array_equal(plate.charts[0].marks[0].pixels, thumbnail(run, "digits", 5))
    assert len(chart_of(run, INPUT, At(item="augmented")).charts) == probe_samples.ACROSS * probe_samples.DOWN


def test_pictures_are_there_while_the_run_is_written(tmp_path):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, tmp_path / "r.h5", optimizer=optimizer, probe=probes(), progress=False) as writing:
        writing.step(loss=1.0)
        run = open_run(tmp_path / "r.h5")
        for name in probes():
            assert thumbnail(run, name, 3).shape == (9, 9)
        np.testing.assert_array_equal(inputs(run, "noise")[""], (IMAGES[7:12] * 2).numpy())


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.mixed = nn.Embedding(9, 4), nn.Linear(4, 2)

    def forward(self, tokens, weights, mask=None):
        return self.mixed((self.embedding(tokens) * weights[..., None]).mean(1))


def test_several_inputs_of_several_dtypes(tmp_path):
    tokens, weights = torch.arange(20).reshape(4, 5) % 9, torch.rand(4, 5, dtype=torch.bfloat16).float()
    given = {
        "places": Probe((tokens, weights, ["cat", "dog", "cat", "dog"])),
        "names": Probe({"tokens": tokens, "weights": weights, "mask": None}),
        "flags": Probe({"tokens": tokens, "weights": weights, "mask": tokens > 3}),
    }
    with record(Tokens(), tmp_path / "r.h5", probe=given, progress=False):
        pass
    run = open_run(tmp_path / "r.h5")
    found = inputs(run, "places")
    assert list(found) == ["0", "1"]
    np.testing.assert_array_equal(found["0"], tokens)
    np.testing.assert_array_equal(found["1"], weights)
    assert found["0"].dtype == np.int64
    assert probe_facts(run, "places").labels == ("cat", "dog", "cat", "dog")
    assert sorted(inputs(run, "names")) == ["tokens", "weights"]
    np.testing.assert_array_equal(inputs(run, "flags")["mask"], tokens > 3)
    assert thumbnail(run, "places", 0) is None
    assert chart_of(run, INPUT, At(item="places/0")).caption


def test_bfloat16_is_kept_as_float32_and_said(tmp_path):
    model = nn.Linear(4, 2).bfloat16()
    x = torch.randn(3, 4).bfloat16()
    with record(model, tmp_path / "r.h5", probe=x, progress=False):
        pass
    run = open_run(tmp_path / "r.h5")
    assert probe_facts(run, "probe").dtypes == {"": "bfloat16"}
    assert torch.equal(torch.tensor(inputs(run, "probe")[""]).bfloat16(), x)


def test_what_is_too_large_is_not_kept_and_augmentations_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "LARGEST", 3000)
    given = probes() | {"second": Probe(IMAGES[:40])}
    train(tmp_path / "r.h5", probe=given)
    run = open_run(tmp_path / "r.h5")
    assert run.series[INPUT].items == ("digits", "augmented")
    assert inputs(run, "second") == {}
    assert thumbnail(run, "second", 0) is None
    told = [event.text for event in run.events if event.kind == "note"]
    assert [text.partition(" take")[0] for text in told] == [
        f"the inputs of the probe {name!r}" for name in ("noise", "second")
    ]
    assert run.series[INPUT].shape_of("augmented") == (2, 1, 9, 9)
    made = given["augmented"]
    np.testing.assert_array_equal(inputs(run, "augmented")[""], made.inputs.numpy())
    for k in (0, 5, 12, 20):
        expected = np.clip(made.inputs[k, 0].numpy() * STD + MEAN, 0, 1)
        np.testing.assert_allclose(thumbnail(run, "augmented", k), expected, atol=1e-6)
    assert made.augmentations[12].transform == IDENTITY


def test_a_size_limit_leaves_room_for_the_training(tmp_path):
    train(tmp_path / "r.h5", max_size=2e6, probe=Probe(torch.zeros(4000, 1, 9, 9)))
    run = open_run(tmp_path / "r.h5")
    assert INPUT not in run.series
    assert ["not kept in the run" in event.text for event in run.events if event.kind == "note"] == [True]


def test_who_wants_nothing_kept_keeps_nothing(tmp_path):
    train(tmp_path / "r.h5", probe=Probe(IMAGES[:5], store=False))
    run = open_run(tmp_path / "r.h5")
    assert INPUT not in run.series
    assert probe_facts(run, "probe").samples == 5
    assert not run.events


def test_a_run_without_a_probe_is_as_it_was(tmp_path):
    train(tmp_path / "r.h5", probe=None)
    run = open_run(tmp_path / "r.h5")
    assert run.meta["probes"] == {}
    assert run.meta["probe_samples"] == 0
    assert INPUT not in run.series
    assert thumbnail(run, "probe", 0) is None
    assert chart_of(run, "gradient_norm").caption


def test_a_resumed_training_keeps_the_same_inputs_once_and_others_anew(tmp_path):
    path = tmp_path / "r.h5"
    train(path)
    train(path, resume=True, step=8)
    run = open_run(path)
    assert len(run.clock(INPUT)) == 1
    train(path, resume=True, step=16, probe={**probes(), "noise": Probe(IMAGES[:9])})
    run = open_run(path)
    np.testing.assert_array_equal(inputs(run, "noise")[""], IMAGES[:9].numpy())
    np.testing.assert_array_equal(inputs(run, "digits")[""], IMAGES[:7].numpy())
    assert thumbnail(run, "noise", 8).shape == (9, 9)


# -- augmentations of the default probe


def test_augmentations_are_made_of_the_default_probe_where_they_are_looked_at(tmp_path):
    looks = ActivationStatistics(probe=AUGMENTATIONS)
    _, alone = train()
    _, recorded = train(tmp_path / "r.h5", probe=(IMAGES[:7], LABELS[:7]), instruments=[each_epoch(looks)])
    assert all(torch.equal(tensor, recorded[name]) for name, tensor in alone.items())
    facts = probe_facts(open_run(tmp_path / "r.h5"), AUGMENTATIONS)
    assert facts.samples == 303
    assert facts.augmentations == Probe.augmented(IMAGES, samples=range(3), count=100).augmentations
    assert facts.labels == tuple(np.repeat(LABELS[:3].numpy(), 101).tolist())
    assert facts.dtypes == {"": "float32"}


def test_augmentations_of_the_users_own_are_taken(tmp_path):
    own = {"digits": probes()["digits"], AUGMENTATIONS: Probe.augmented(IMAGES, count=5)}
    train(tmp_path / "r.h5", probe=own, instruments=["augmentation_variance"])
    run = open_run(tmp_path / "r.h5")
    assert probe_facts(run, AUGMENTATIONS).samples == 6
    assert "augmentation_variance" in run.series


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (torch.zeros(3, 12), r"samples of shape \(12,\) cannot be told to be images"),
        (torch.zeros(3, 49), "cannot be told to be images"),
        (torch.zeros(3, 1, 7, 7), "images of 7 x 7 pixels are too small; expected at least 8 x 8"),
    ],
)
def test_augmentations_of_what_is_no_image(tmp_path, probe, said):
    model = nn.Sequential(nn.Flatten(), nn.Linear(probe[0].numel(), 2))
    with pytest.raises(RecordError, match=said):
        record(model, tmp_path / "r.h5", probe=probe, instruments=["augmentation_variance"], progress=False)


def test_augmentations_without_any_probe(tmp_path):
    with pytest.raises(RecordError, match="'augmentation_variance' looks at a probe batch; give one"):
        record(network(), tmp_path / "r.h5", instruments=["augmentation_variance"], progress=False)
