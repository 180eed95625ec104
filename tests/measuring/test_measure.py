"""Is what is measured at checkpoints what would have been recorded live, and is it a part of the run?"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import recorder
from recorder import measure, open_run
from recorder.errors import RecordError, RunExistsError
from recorder.runfile.schema import State
from recorder.runfile.writer import RunWriter
from tests.measuring.subjects import LABELS, PROBED, SAMPLES, Net, data, other_data, same, train, wide


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("trained") / "mlp.h5")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run with its checkpoints."""
    shutil.copy(trained, tmp_path / "mlp.h5")
    shutil.copytree(trained.with_suffix(".d"), tmp_path / "mlp.d")
    return tmp_path / "mlp.h5"


def test_it_is_found_without_importing_a_framework() -> None:
    assert recorder.measure is measure


def test_series_measured_afterwards_equal_those_recorded_live_bit_for_bit(run: Path, tmp_path: Path) -> None:
    pattern = f"{run.with_suffix('.d')}/checkpoints/*.pth"
    apart = measure(tmp_path / "apart.h5", PROBED, model=Net, data=data, checkpoints=pattern)
    with open_run(run) as live:
        compared = 0
        for name, measured in apart.items():
            assert measured.step.tolist() == [5, 10, 15, 20]
            known = live[name]
            for item in measured.items:
                for step in (10, 20):
                    assert same(live.row(name, step, item)[1], measured.item(item).values[[5, 10, 15, 20].index(step)])
                    compared += 1
            assert (known.kind, known.unit, known.doc, known.items) == (
                measured.kind, measured.unit, measured.doc, measured.items,
            )  # fmt: skip
    assert compared > 40


def test_they_join_what_was_recorded_live_and_are_not_measured_again(run: Path) -> None:
    with open_run(run) as live:
        assert live["cka"].step.tolist() == [0, 10, 20]
        before, ended = live["cka"].values, live.ended
    found = measure(run, "cka", model=Net)  # the run keeps its probe
    assert list(found) == ["cka", "cka_gram"]
    assert found["cka"].step.tolist() == [0, 5, 10, 15, 20]
    assert found["cka"].epoch.tolist() == [0, 0, 0, 1, 1]
    assert same(found["cka"].values[[0, 2, 4]], before)
    assert np.isfinite(found["cka"].values).all()
    with open_run(run) as after:
        assert (after.state, after.ended, after.steps) == (State.DONE, ended, 20)
        assert (np.diff(after["cka"].time) >= 0).all()  # when the checkpoints were saved
        notes = [e.text for e in after.events if e.kind == "note"]
        assert "measured afterwards, at checkpoints of steps 5 to 20: cka" in notes
        assert after.parts == 1
        assert "5" in str(after.chart("cka", step=5).caption)
    measure(run, "cka", model=Net)
    with open_run(run) as again:
        assert again.parts == 1, "there was nothing left to do, so nothing was written"


def test_what_was_never_recorded_is_measured_too(run: Path) -> None:
    found = measure(run, ["weight_norm", "activation_histogram"], model=Net)
    assert found["weight_norm"].step.tolist() == [5, 10, 15, 20]
    assert found["activation_histogram"].step.tolist() == [5, 10, 15, 20]
    with open_run(run) as whole:
        assert whole.chart("activation_histogram").view
        assert "gradient_norm" in whole


def test_steps_are_chosen(run: Path) -> None:
    assert measure(run, "weight_norm", model=Net, steps=10)["weight_norm"].step.tolist() == [10]
    assert measure(run, "weight_norm", model=Net, steps="last")["weight_norm"].step.tolist() == [10, 20]
    assert measure(run, "weight_norm", model=Net, steps=["first", "12:17"])["weight_norm"].step.tolist() == [
        5,
        10,
        15,
        20,
    ]
    with pytest.raises(RecordError, match="there is no checkpoint of 7; the 4 checkpoints are of steps 5 to 20"):
        measure(run, "weight_norm", model=Net, steps=[5, 7])
    with pytest.raises(RecordError, match="expected a number, LO:HI, first or last, got 'ten'"):
        measure(run, "weight_norm", model=Net, steps="ten")


def test_other_data_than_the_runs_own_has_a_name_of_its_own(run: Path) -> None:
    with pytest.raises(
        RecordError, match=r"asks something else than the probe 'probe' of the run \(10 and 12 samples\)"
    ):
        measure(run, "cka", model=Net, data=other_data)
    found = measure(run, "cka", model=Net, data=other_data, probe="shifted")
    assert list(found) == ["cka@shifted", "cka_gram@shifted"]
    assert found["cka@shifted"].step.tolist() == [5, 10, 15, 20]
    with open_run(run) as whole:
        assert list(whole.meta["probes"]) == ["probe", "shifted"]
        assert whole.meta["probe_samples"] == 12
        assert whole["cka"].step.tolist() == [0, 10, 20]
        assert "cka@shifted" in whole.entries
    same_name = measure(run, "cka@shifted", model=Net, data={"shifted": recorder.Probe(other_data())}, steps="last")
    assert same_name["cka@shifted"].step.tolist() == [5, 10, 15, 20]


def test_a_run_without_a_probe_is_measured_on_data(tmp_path: Path) -> None:
    path = train(tmp_path / "bare.h5", probe=None)
    with pytest.raises(RecordError, match="data: the run has no probe 'probe'; give --data"):
        measure(path, "activation_statistics", model=Net)
    measure(path, "activation_statistics", model=Net, data=(SAMPLES, LABELS))
    with open_run(path) as run:
        assert run["activation_mean"].step.tolist() == [5, 10, 15, 20]
        assert [layer["name"] for layer in run.meta["layers"]] == ["fc1", "norm", "fc2"]
        share = run["activation_dead_share"].values  # needs to know how many units there are
        assert share.shape == (4, 3)
        assert ((share >= 0) & (share <= 1)).all()


def test_the_layers_are_those_of_the_run_or_the_ones_named(run: Path) -> None:
    found = measure(run, "activation_histogram", model=Net, layers="fc*")
    assert found["activation_histogram"].items == ("fc1", "fc2")
    everywhere = measure(run, "activation_histogram", model=Net)
    assert everywhere["activation_histogram"].items == ("fc1", "fc2", "norm")
    assert everywhere["activation_histogram"].item("norm").step.tolist() == [5, 10, 15, 20]


def test_a_checkpoint_that_does_not_fit_is_left_out_and_said_why(run: Path) -> None:
    (run.with_suffix(".d") / "checkpoints" / "step-000010.pth").write_bytes(b"torn")
    found = measure(run, "weight_norm", model=Net)
    assert found["weight_norm"].step.tolist() == [5, 15, 20]
    with open_run(run) as whole:
        (said,) = [e for e in whole.events if e.kind == "warning"]
        assert said.step == 10
        assert "step-000010.pth: is no checkpoint of torch, or damaged" in said.text
        assert said.text.endswith("it was not measured")


def test_where_nothing_fits_nothing_is_written(run: Path, tmp_path: Path) -> None:
    before = run.read_bytes()
    with pytest.raises(
        RecordError, match=r"none of 4 checkpoints could be measured.*'fc1.weight' has the shape \(8, 6\), "
    ):
        measure(run, "weight_norm", model=wide)
    assert run.read_bytes() == before
    pattern = f"{run.with_suffix('.d')}/checkpoints/*.pth"
    with pytest.raises(RecordError, match="none of 4"):
        measure(tmp_path / "new.h5", "weight_norm", model=wide, checkpoints=pattern)
    assert not (tmp_path / "new.h5").exists()
    assert not (tmp_path / "new.d").exists()


def test_an_instrument_that_fails_somewhere_goes_on_and_others_do_not_suffer(run: Path) -> None:
    class Moody(recorder.instruments.ActivationStatistics):
        name = "moody"

        def declare(self, facts):
            found = super().declare(facts)
            return tuple(type(s)(**{**vars(s), "name": f"moody_{s.name}"}) for s in found)

        def measure(self, reading):
            if reading.step == 10:
                raise ValueError("not today")
            return {f"moody_{name}": values for name, values in super().measure(reading).items()}

    found = measure(run, [Moody(), "weight_norm"], model=Net)
    assert found["moody_activation_mean"].step.tolist() == [5, 15, 20]
    assert found["weight_norm"].step.tolist() == [5, 10, 15, 20]
    with open_run(run) as whole:
        (said,) = [e.text for e in whole.events if e.kind == "warning"]
    assert "moody was not measured" in said
    assert "ValueError: not today" in said


def test_where_the_pass_of_one_probe_fails_others_are_measured(tmp_path: Path) -> None:
    asked = {"a": recorder.Probe(SAMPLES), "b": recorder.Probe(other_data())}
    run = train(tmp_path / "two.h5", probe=asked)
    refused = torch.load(tmp_path / "two.d" / "checkpoints" / "step-000015.pth", weights_only=True)["fc2.weight"]

    class Picky(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) == 10 and torch.equal(self.fc2.weight, refused):
                raise ValueError("not these")
            return super().forward(x)

    found = measure(run, ["effective_dimension@b", "activation_histogram"], model=Picky)
    assert found["activation_histogram"].step.tolist() == [5, 10, 15, 20]
    assert found["effective_dimension@b"].step.tolist() == [5, 10, 20]
    with open_run(run) as whole:
        (said,) = [e.text for e in whole.events if e.kind == "warning"]
    assert said.startswith("effective_dimension@b was not measured: probe: Picky failed on (10, 6): ValueError: not")


def test_whoever_is_named_first_looks_at_the_default_probe_where_it_says_nothing_else(tmp_path: Path) -> None:
    asked = {"a": recorder.Probe(SAMPLES), "b": recorder.Probe(SAMPLES.flip(1))}  # as many samples
    run = train(tmp_path / "two.h5", probe=asked)
    found = measure(run, ["effective_dimension@b", "effective_dimension"], model=Net)
    with open_run(train(tmp_path / "one.h5", each=20)) as alone:
        for step in (10, 20):
            assert same(
                alone.row("effective_dimension", step, "fc1")[1],
                found["effective_dimension"].item("fc1").values[[0, 5, 10, 15, 20].index(step)],
            )
    pattern = f"{run.with_suffix('.d')}/checkpoints/*.pth"
    made = measure(tmp_path / "made.h5", "effective_dimension", model=Net, data=asked, checkpoints=pattern)
    assert same(made["effective_dimension"].values, found["effective_dimension"].values[1:])


def test_a_living_recording_is_not_disturbed(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "live.h5", meta={})
    try:
        with pytest.raises(
            RunExistsError, match=r"is being recorded by process .*; measure it when that has ended, or"
        ):
            measure(tmp_path / "live.h5", "weight_norm", model=Net)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("gradient_norm", "looks at gradients, and a checkpoint holds none"),
        ("sign_flips", "compares an update with the one before"),
        ("raw_snapshots", "keeps whole tensors"),
        ("ckaa", r"no preset or instrument is called 'ckaa' \(did you mean 'cka'\?\)"),
        ([], "no instrument was named"),
        ("weight_norm@noise", "'weight_norm' looks at no probe"),
        ([3], "expected one, or the name of one, got int"),
    ],
)
def test_what_cannot_be_measured_is_said(run: Path, names: object, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        measure(run, names, model=Net)


def test_a_preset_means_what_of_it_can_be_measured(run: Path) -> None:
    found = measure(run, "light", model=Net)
    assert {"weight_norm", "activation_mean"} <= set(found)
    assert "gradient_norm" not in found


def test_the_class_that_the_run_recorded_is_made_again(run: Path) -> None:
    with open_run(run) as recorded:
        assert recorded.meta["model"] == "tests.measuring.subjects:Net"
    assert measure(run, "weight_norm")["weight_norm"].step.tolist() == [5, 10, 15, 20]


def test_a_network_and_a_probe_in_bfloat16_are_measured_in_it(tmp_path: Path) -> None:
    net, x = Net().bfloat16(), SAMPLES.bfloat16()
    names, checkpoints = ["effective_dimension", "probe_activations"], recorder.Checkpoints(every=1)
    with recorder.record(
        net, tmp_path / "b.h5", probe=x, instruments=["effective_dimension"], checkpoints=checkpoints, progress=False
    ) as live:
        net.fc1.weight.data.mul_(2)
        live.step(loss=0.0)
        live.event("note", "the network is as it is at the checkpoint")
    found = measure(tmp_path / "b.h5", names)
    with open_run(tmp_path / "b.h5") as run:
        assert found["probe_activation"].item("fc2").step.tolist() == [1]
        net.eval()
        with torch.no_grad():
            assert same(found["probe_activation"].item("fc2").values[0], net(x).float())
        assert run.meta["probes"]["probe"]["dtypes"] == {"": "bfloat16"}


def test_a_run_that_was_made_of_checkpoints_needs_nothing_more_the_next_time(run: Path, tmp_path: Path) -> None:
    made, pattern = tmp_path / "made.h5", f"{run.with_suffix('.d')}/checkpoints/*.pth"
    with pytest.raises(RecordError, match="there is no run; to make one, give --checkpoints"):
        measure(made, "weight_norm", model=Net)
    with pytest.raises(RecordError, match="model: a run that does not exist yet has none; give --model"):
        measure(made, "weight_norm", checkpoints=pattern)
    with pytest.raises(RecordError, match="data: a run that does not exist yet has no probe; give --data"):
        measure(made, "cka", model=Net, checkpoints=pattern)
    first = measure(made, "cka", model=Net, data=data, checkpoints=pattern)
    again = measure(made, "activation_histogram")
    assert again["activation_histogram"].step.tolist() == first["cka"].step.tolist() == [5, 10, 15, 20]
    with open_run(made) as whole:
        assert whole.state is State.DONE
        assert whole.meta["probe_samples"] == 12


def test_averaged_weights_never_join_a_series_of_plain_ones(run: Path, tmp_path: Path) -> None:
    for path in (run.with_suffix(".d") / "checkpoints").glob("*.pth"):
        state = torch.load(path, weights_only=True)
        torch.save({"state_dict": state, "ema": {k: v * 2 for k, v in state.items()}}, tmp_path / path.name)
    pattern = tmp_path / "step-*.pth"
    with pytest.raises(
        RecordError, match="is of the weights as they were trained in the run, and would be of those at 'ema'"
    ):
        measure(run, "cka", model=Net, checkpoints=pattern, key="ema")
    plain = measure(tmp_path / "plain.h5", "weight_norm", model=Net, checkpoints=pattern)["weight_norm"]
    mean = measure(tmp_path / "ema.h5", "weight_norm", model=Net, checkpoints=pattern, key="ema")["weight_norm"]
    np.testing.assert_allclose(mean.values, 2 * plain.values, rtol=1e-6)
