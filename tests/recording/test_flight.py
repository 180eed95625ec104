"""The last steps before an anomaly are in the run, exactly as they were; the training goes on as if nothing was."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from recorder import Anomaly, Checkpoints, FlightRecorder, Health, open_run, record
from recorder.analysis.health import findings
from recorder.entries import chart_of
from recorder.errors import RecordError
from recorder.runfile.schema import State
from recorder.view import At, Window
from tests.recording.quadratic import CURVATURE, Quadratic

FULL = FlightRecorder(norms=True)


def network():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    return model, torch.optim.SGD(model.parameters(), 0.01)


class Trained:
    """A torch training that goes wrong at a step, and what was seen of it by hand."""

    def __init__(self, path, *, bad=105, steps=130, instruments="light", flight_recorder=FULL, **options):
        self.model, optimizer = network()
        rng = torch.Generator().manual_seed(1)
        self.norms, self.losses, self.told, self.weights = [], [], [], {}
        with record(
            self.model, path, optimizer=optimizer, instruments=instruments, flight_recorder=flight_recorder,
            on_anomaly=self.told.append, progress=False, strict=True, **options,
        ) as run:  # fmt: skip
            for step in range(steps):
                x = torch.randn(16, 4, generator=rng)
                if step == bad:
                    x[3, 2] = torch.nan
                optimizer.zero_grad()
                loss = self.model(x).pow(2).mean()
                loss.backward()
                self.norms.append([float(p.grad.double().norm()) for p in self.model.parameters()])
                self.losses.append(loss.item())
                optimizer.step()
                if step == bad:
                    self.weights = {name: w.clone() for name, w in self.model.state_dict().items()}
                run.step(loss=loss, batch=torch.arange(16) + 16 * step)
            self.printed = " ".join(str(run).split())
        self.run = open_run(path)


@pytest.mark.parametrize("bad", [20, 105])
def test_a_nan_takes_the_last_64_steps_into_the_run(tmp_path, bad):
    trained = Trained(tmp_path / "r.h5", bad=bad)
    steps = list(range(max(0, bad - 63), bad + 1))
    norm, run = trained.run["flight_gradient_norm"], trained.run
    assert norm.step.tolist() == steps
    np.testing.assert_allclose(norm.values, np.array(trained.norms)[steps], rtol=1e-6)
    assert np.isnan(norm.values[-1]).all()
    sizes = [p.numel() for p in trained.model.parameters()]
    assert run["flight_gradient_nonfinite"].values[-1].tolist() == sizes
    assert not run["flight_gradient_nonfinite"].values[:-1].any()
    np.testing.assert_array_equal(run["flight_scalars"].item("loss").values, np.array(trained.losses)[steps])
    texts = [text.decode() for text in run["flight_batch"].item("batch").values]
    assert texts == [" ".join(map(str, range(16 * t, 16 * t + 16))) for t in steps]

    (anomaly,) = trained.told
    names = [name for name, _ in trained.model.named_parameters()]
    assert (anomaly.kind, anomaly.step, anomaly.tensors) == ("not_finite", bad, tuple(names[::-1]))
    assert anomaly.batch == texts[-1]
    assert anomaly.checkpoint == tmp_path / "r.d" / "checkpoints" / f"anomaly-step-{bad + 1:06d}.pth"
    saved = torch.load(anomaly.checkpoint)
    assert all(torch.equal(saved[name], w) or w.isnan().any() for name, w in trained.weights.items())
    (event,) = (e for e in run.events if e.kind == "anomaly")
    assert event.text.startswith(f"step {bad}: not finite in loss, and 4 more; bad first: 2.bias, 2.weight")
    assert event.text.endswith(f"weights in {anomaly.checkpoint.name}")
    assert f"not finite at {130 - bad - 1} steps" in run.events[-1].text
    assert run.state is State.DONE
    assert run.steps == 130


def test_dynamics_has_the_norms_without_being_asked_and_light_keeps_what_costs_nothing(tmp_path):
    dynamics = Trained(tmp_path / "d.h5", instruments="dynamics", flight_recorder=64)
    np.testing.assert_allclose(
        dynamics.run["flight_gradient_norm"].values, dynamics.run["gradient_norm"].values[42:106]
    )
    assert "for the flight recorder" not in dynamics.printed
    light = Trained(tmp_path / "l.h5", flight_recorder=30)
    assert "flight_gradient_norm" not in light.run
    assert light.run["flight_batch"].step.tolist() == list(range(76, 106))
    assert light.told[0].tensors == ()
    assert "the last 30 steps, in memory" in light.printed
    full = Trained(tmp_path / "f.h5")
    assert "196 B of gradients read a step for the flight recorder" in full.printed
    assert full.run["gradient_norm"].step.tolist()[:4] == [0, 1, 10, 11]
    assert [f.step for f in findings(full.run.events)][:5] == [105] * 5


def test_a_healthy_training_has_nothing_of_it(tmp_path):
    trained = Trained(tmp_path / "r.h5", bad=-1)
    assert trained.told == []
    assert not [name for name in trained.run if name.startswith("flight")]
    assert not (tmp_path / "r.d").exists()


def test_the_training_is_the_same_bit_for_bit(tmp_path):
    kept, off = Trained(tmp_path / "a.h5", bad=-1), Trained(tmp_path / "b.h5", bad=-1, flight_recorder=0)
    assert kept.losses == off.losses


def quadratic(path, steps, *, lag=0, spoil=lambda step, loss, model: loss, **options):
    """A training of closed form; `spoil` changes its loss or its rate."""
    model, told, hand = Quadratic(lag=lag), [], []
    options = {"instruments": "light", "flight_recorder": FULL, "on_anomaly": told.append} | options
    with record(model, path, progress=False, **options) as run:
        for step in range(steps):
            loss = spoil(step, model.loss(), model)
            hand.append([np.linalg.norm(CURVATURE[n] * w) for n, w in model.weights.items()])
            model.update()
            run.step(loss=loss, batch=[step, f"{step}.png"])
    return open_run(path), told, np.array(hand)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_spike_of_the_loss(tmp_path, lag):
    def spoil(step, loss, model):
        return {80: 50.0, 90: 90.0, 93: 55.0, 95: 99.0}.get(step, loss)

    run, told, hand = quadratic(tmp_path / "q.h5", 100, lag=lag, spoil=spoil)
    (anomaly,) = told
    assert (anomaly.kind, anomaly.step, anomaly.tensors) == ("loss_spike", 80, ())
    assert anomaly.text.startswith("loss spike in loss: 50, limit ")
    norm = run["flight_gradient_norm"]
    assert norm.step.tolist() == list(range(17, 81))
    np.testing.assert_allclose(norm.values, hand[17:81], rtol=1e-6)
    assert run["flight_batch"].item("batch").values[-1] == b"80, 80.png"
    assert anomaly.batch == "80, 80.png"
    assert [e.text for e in run.events if e.kind == "note"] == ["met again after the first time: loss spike at 2 steps"]


def test_each_kind_has_its_rows_once_and_its_first_step(tmp_path):
    def spoil(step, loss, model):
        model.rate = 3.0 if step >= 150 else 0.1  # diverges from here on
        return 50.0 if step == 100 else np.nan if step == 120 else loss

    run, told, _ = quadratic(tmp_path / "q.h5", 170, spoil=spoil)
    assert [(a.kind, a.step) for a in told][:2] == [("loss_spike", 100), ("not_finite", 120)]
    assert [a.kind for a in told[2:]] == ["exploding"]
    exploding = told[2]
    said = {(f.finding, f.item) for f in findings(run.events) if f.step == exploding.step}
    assert said == {("exploding", name) for name in exploding.tensors}
    steps = run["flight_scalars"].step.tolist()
    assert steps == list(range(37, exploding.step + 1))  # those of three anomalies, each once
    assert len(run.events) == len({(e.kind, e.text) for e in run.events})
    assert sorted(p.name for p in (tmp_path / "q.d" / "checkpoints").glob("*.pth")) == sorted(
        {a.checkpoint.name for a in told}
    )


def test_an_exception_takes_the_last_steps_into_the_run(tmp_path):
    model, told = Quadratic(), []
    with (
        pytest.raises(ZeroDivisionError),
        record(model, tmp_path / "q.h5", flight_recorder=10, on_anomaly=told.append, progress=False) as run,
    ):
        for step in range(30):
            model.update()
            run.step(loss=model.loss() if step < 28 else float("nan"), batch=step)
        raise ZeroDivisionError("by hand")
    nan, exception = told
    assert (nan.kind, nan.step) == ("not_finite", 28)
    assert (exception.kind, exception.step, exception.text) == ("exception", 30, "ZeroDivisionError: by hand")
    assert exception.checkpoint.exists()
    run = open_run(tmp_path / "q.h5")
    assert run["flight_batch"].step.tolist() == list(range(19, 30))
    assert (run.state, run.error) == (State.FAILED, "ZeroDivisionError: by hand")


def test_an_exception_behind_a_bad_gradient_names_its_tensors(tmp_path):
    model, told = Quadratic(), []
    with (
        pytest.raises(ZeroDivisionError),
        record(model, tmp_path / "q.h5", flight_recorder=FULL, on_anomaly=told.append, progress=False) as run,
    ):
        for step in range(23):  # the last ones still wait to be read
            if step == 22:
                model.weights["b"][0, 1] = np.nan
            model.update()
            run.step(loss=1.0, batch=step)
        raise ZeroDivisionError
    assert [(a.kind, a.step, a.tensors, a.batch) for a in told] == [
        ("not_finite", 22, ("b",), "22"),
        ("exception", 23, ("b",), ""),
    ]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, SystemExit])
def test_who_stops_a_training_by_hand_has_no_anomaly(tmp_path, problem):
    model, told = Quadratic(), []
    with (
        pytest.raises(problem),
        record(model, tmp_path / "q.h5", on_anomaly=told.append, progress=False) as run,
    ):
        run.step(loss=1.0)
        raise problem
    assert told == []
    assert "flight_scalars" not in open_run(tmp_path / "q.h5")


def test_an_exception_before_the_first_step_saves_nothing(tmp_path):
    told = []
    with (
        pytest.raises(ValueError),
        record(Quadratic(), tmp_path / "q.h5", on_anomaly=told.append, progress=False),
    ):
        raise ValueError
    assert [(a.kind, a.step, a.checkpoint) for a in told] == [("exception", 0, None)]
    assert not (tmp_path / "q.d").exists()


def failing(anomaly: Anomaly) -> None:
    raise OSError("no mail server")


def nan_twice(step, loss, model):
    return {20: 50.0, 25: np.nan}.get(step, loss)


def test_a_callback_that_fails_is_warned_of_once_and_never_stops_the_training(tmp_path):
    with pytest.warns(UserWarning, match="on_anomaly failed at step 20: OSError: no mail server") as caught:
        run, _, _ = quadratic(tmp_path / "q.h5", 40, spoil=nan_twice, on_anomaly=failing)
    assert len(caught) == 1
    assert run.steps == 40
    assert [e.step for e in run.events if e.kind == "warning"] == [21, 26]


def test_strict_raises_what_the_callback_raises(tmp_path):
    with pytest.raises(OSError, match="no mail server"):
        quadratic(tmp_path / "q.h5", 40, spoil=nan_twice, on_anomaly=failing, strict=True)


def test_a_callback_may_use_the_run(tmp_path):
    model, seen = Quadratic(), []

    def tell(anomaly):
        run.event("note", f"mailed {anomaly.kind}")
        seen.append(run.checkpoint())

    with record(model, tmp_path / "q.h5", on_anomaly=tell, progress=False, strict=True) as run:
        for step in range(30):
            model.update()
            run.step(loss=50.0 if step == 20 else model.loss())
    assert seen[0].exists()
    assert "mailed loss_spike" in [e.text for e in open_run(tmp_path / "q.h5").events]


def test_a_checkpoint_that_cannot_be_written_is_warned_of_and_the_rest_is_there(tmp_path, monkeypatch):
    def full(self, path):
        raise OSError("no space left")

    monkeypatch.setattr(Quadratic, "save", full)
    with pytest.warns(UserWarning, match="no checkpoint at step 21: OSError: no space left"):
        run, told, _ = quadratic(tmp_path / "q.h5", 24, spoil=nan_twice)
    assert told[0].checkpoint is None
    assert run["flight_batch"].step.tolist() == list(range(21))


def test_the_rules_of_checkpoints_leave_those_of_anomalies_alone(tmp_path):
    rule = Checkpoints(every=7, keep=1)
    _, told, _ = quadratic(tmp_path / "q.h5", 40, spoil=nan_twice, checkpoints=rule)
    there = sorted(p.name for p in (tmp_path / "q.d" / "checkpoints").glob("*.pth"))
    assert there == ["anomaly-step-000021.pth", "anomaly-step-000026.pth", "step-000035.pth"]
    assert [a.checkpoint.name for a in told] == there[:2]


def test_it_can_be_switched_off_and_checkpoints_alone_as_well(tmp_path):
    run, told, _ = quadratic(tmp_path / "a.h5", 30, spoil=nan_twice, flight_recorder=0)
    assert [(a.kind, a.checkpoint) for a in told] == [("loss_spike", None), ("not_finite", None)]
    assert not [name for name in run if name.startswith("flight")]
    run, told, _ = quadratic(tmp_path / "b.h5", 30, spoil=nan_twice, flight_recorder=FlightRecorder(checkpoint=False))
    assert told[0].checkpoint is None
    assert "flight_scalars" in run
    with pytest.raises(RecordError, match=r"FlightRecorder\(steps=-1\): expected a number of steps"):
        FlightRecorder(-1)


def test_identifiers_that_are_none_are_warned_of_once(tmp_path):
    model = Quadratic()
    with warnings.catch_warnings(record=True) as caught, record(model, tmp_path / "q.h5", progress=False) as run:
        warnings.simplefilter("always")
        for _ in range(3):
            model.update()
            run.step(loss=1.0, batch=np.zeros((4, 3)))
    (warning,) = caught
    assert "step 0: batch: expected what identifies its samples" in str(warning.message)
    assert "got float64 of shape (4, 3); it is left out" in str(warning.message)
    assert open_run(tmp_path / "q.h5").steps == 3
    with (
        pytest.raises(RecordError, match="step 0: batch"),
        record(model, tmp_path / "s.h5", progress=False, strict=True) as run,
    ):
        run.step(loss=1.0, batch=1.5)


def test_a_limit_of_the_size_holds_for_it_as_well(tmp_path):
    run, told, _ = quadratic(tmp_path / "q.h5", 500, spoil=nan_twice, max_size="400 kB")
    assert len(told) == 2
    assert run.size <= 400_000


def test_a_resumed_training_begins_with_nothing_kept(tmp_path):
    path = tmp_path / "q.h5"
    quadratic(path, 30, spoil=nan_twice, resume=True, step=0)
    run, told, _ = quadratic(path, 20, spoil=lambda s, loss, m: np.nan if s == 5 else loss, resume=True, step=22)
    assert [(a.kind, a.step) for a in told] == [("not_finite", 27)]
    texts = run["flight_batch"].item("batch").values
    assert run["flight_batch"].step.tolist() == list(range(28))  # 22 to 25 of the first process are hidden
    assert texts[21:23].tolist() == [b"21, 21.png", b"0, 0.png"]


def test_the_table_of_the_last_steps(tmp_path):
    trained = Trained(tmp_path / "r.h5")
    chart = chart_of(trained.run, "flight", At(100), Window())
    (table,) = chart.marks
    assert table.columns == ("step", "loss", "learning_rate", "gradient_norm", "batch")
    assert len(table.rows) == 64
    total = np.linalg.norm(trained.norms[100])
    expected = ("100", f"{trained.losses[100]:.4g}", "0.01", f"{total:.4g}", " ".join(map(str, range(1600, 1616))))
    assert table.rows[table.row] == expected
    assert table.rows[-1][1:4] == ("nan", "0.01", "nan")
    (other,) = chart_of(trained.run, "flight", At(3), Window(50, 60)).marks
    assert ([row[0] for row in other.rows], other.row) == ([str(k) for k in range(50, 61)], 0)


def test_thresholds_that_are_switched_off_raise_no_anomaly(tmp_path):
    health = Health(spike_deviations=np.inf)
    _, told, _ = quadratic(tmp_path / "q.h5", 40, spoil=nan_twice, health=health)
    assert [a.kind for a in told] == ["not_finite"]
