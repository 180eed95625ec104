"""A quadratic is recorded into a real file and every number is compared with its closed form."""

from __future__ import annotations

import numpy as np
import pytest

from recorder import at_end, each_epoch, every, open_run, pairs, record
from recorder.errors import RecordError
from recorder.instruments import (
    ActivationStatistics,
    GradientHistogram,
    GradientNorm,
    RawSnapshots,
    UpdateRatio,
    WeightHistogram,
    WeightNorm,
)
from recorder.runfile.schema import State
from tests.recording.quadratic import CURVATURE, Quadratic

NAMES = ("a", "b")


def trained(path, steps=25, *, lag=0, per_epoch=10, **options):
    """Record some steps; the run, and the weights w_t at every step t = 0 .. steps."""
    model = Quadratic(lag=lag)
    weights = [dict(model.weights)]
    with record(model, path, progress=False, strict=True, **options) as run:
        for step in range(steps):
            loss = model.loss()
            model.update()
            weights.append(dict(model.weights))
            run.step(loss=loss)
            if (step + 1) % per_epoch == 0:
                run.epoch(val_loss=model.loss())
    return open_run(path), weights


def gradient_norms(weights, steps):
    return np.array([[np.linalg.norm(CURVATURE[n] * weights[t][n]) for n in NAMES] for t in steps])


def weight_norms(weights, steps):
    return np.array([[np.linalg.norm(weights[t][n]) for n in NAMES] for t in steps])


def ratios(weights, steps):
    return np.array(
        [
            [np.linalg.norm(weights[t][n] - weights[t - 1][n]) / np.linalg.norm(weights[t - 1][n]) for n in NAMES]
            for t in steps
        ]
    )


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_light_records_pairs_of_steps_and_epochs(tmp_path, lag):
    run, weights = trained(tmp_path / "q.h5", lag=lag)
    norm = run["gradient_norm"]
    assert norm.step.tolist() == [0, 1, 10, 11, 20, 21]
    assert norm.epoch.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(norm.values, gradient_norms(weights, norm.step), rtol=1e-6)
    np.testing.assert_allclose(run["weight_norm"].values, weight_norms(weights, norm.step), rtol=1e-6)
    assert run["update_ratio"].step.tolist() == [1, 11, 21]
    np.testing.assert_allclose(run["update_ratio"].values, ratios(weights, [1, 11, 21]), rtol=1e-5)
    assert run["activation_mean"].step.tolist() == [0, 10, 20, 25]  # the start, two epochs, the end
    assert run["activation_mean"].epoch.tolist() == [0, 1, 2, 2]
    a = np.array([weights[t]["a"] for t in (0, 10, 20, 25)])
    expected = np.maximum(np.arange(1, 5)[None, :, None] * a[:, None, :], 0).mean(axis=(1, 2))
    np.testing.assert_allclose(run["activation_mean"].item("relu").values, expected, rtol=1e-5)
    assert run.state is State.DONE


@pytest.mark.parametrize("lag", [0, 1])
def test_scalars_of_steps_and_epochs(tmp_path, lag):
    run, weights = trained(tmp_path / "q.h5", lag=lag, instruments=[])

    def loss(t):
        return sum((CURVATURE[n] * weights[t][n] ** 2).sum() / 2 for n in NAMES)

    assert run["loss"].step.tolist() == list(range(25))
    np.testing.assert_allclose(run["loss"].values, [loss(t) for t in range(25)], rtol=1e-12)
    assert run["val_loss"].step.tolist() == [10, 20]
    assert run["val_loss"].epoch.tolist() == [1, 2]
    np.testing.assert_allclose(run["val_loss"].values, [loss(10), loss(20)], rtol=1e-12)
    np.testing.assert_array_equal(run["learning_rate"].values, 0.1)
    assert (run["step_time"].values > 0).all()
    assert (run["overhead_time"].values >= 0).all()


def test_every_step_gives_every_ratio_but_the_first(tmp_path):
    run, weights = trained(tmp_path / "q.h5", instruments=[every(1, UpdateRatio()), every(1, GradientNorm())])
    found = run["update_ratio"].values
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], ratios(weights, range(1, 25)), rtol=1e-5)
    np.testing.assert_allclose(run["gradient_norm"].values, gradient_norms(weights, range(25)), rtol=1e-6)


def test_a_ratio_in_pairs_is_defined_at_both_steps(tmp_path):
    run, weights = trained(tmp_path / "q.h5", instruments=[pairs(5, UpdateRatio())])
    steps = run["update_ratio"].step
    assert steps.tolist() == [0, 1, 5, 6, 10, 11, 15, 16, 20, 21]
    np.testing.assert_allclose(run["update_ratio"].values[1:], ratios(weights, steps[1:]), rtol=1e-5)


def test_only_what_is_due_is_asked_for(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[every(10, GradientNorm())], progress=False) as run:
        for _ in range(12):
            model.update()
            run.step()
    assert [bool(plan) for plan in model.plans] == [True, *[False] * 9, True, False]


def test_the_weights_are_kept_one_step_before_they_are_compared(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[every(10, UpdateRatio(), start=1)], progress=False) as run:
        for _ in range(12):
            model.update()
            run.step()
    assert [t for t, plan in enumerate(model.plans) if plan.keep_weights] == [0, 10]


def test_histograms_each_epoch_are_those_of_the_epochs_first_update_and_of_the_end(tmp_path):
    run, _ = trained(tmp_path / "q.h5", instruments=[each_epoch(WeightHistogram()), each_epoch(GradientHistogram())])
    histogram = run["weight_histogram"]
    assert histogram.step.tolist() == [0, 10, 20, 25]
    assert histogram.epoch.tolist() == [0, 1, 2, 2]
    assert (histogram.values.sum(axis=2) == [3, 2]).all()
    gradients = run["gradient_histogram"]
    assert gradients.step.tolist() == [0, 10, 20]  # there is no gradient after the last update
    assert (gradients.values.sum(axis=2) == [3, 2]).all()


def test_what_needs_a_gradient_is_refused_at_the_end(tmp_path):
    with pytest.raises(RecordError, match="none follows the end"):
        record(Quadratic(), tmp_path / "q.h5", instruments=[at_end(GradientHistogram())])


def test_epoch_rows_where_no_step_follows_are_not_doubled(tmp_path):
    run, _ = trained(tmp_path / "q.h5", steps=20, instruments=["light", each_epoch(WeightHistogram())])
    assert run["activation_mean"].step.tolist() == [0, 10, 20]
    assert run["weight_histogram"].step.tolist() == [0, 10, 20]


def test_at_the_end(tmp_path):
    run, weights = trained(tmp_path / "q.h5", instruments=[at_end(WeightNorm()), at_end(ActivationStatistics())])
    assert run["weight_norm"].step.tolist() == [25]
    np.testing.assert_allclose(run["weight_norm"].values, weight_norms(weights, [25]), rtol=1e-6)
    assert run["activation_mean"].step.tolist() == [25]


def test_a_probe_every_few_steps_sees_the_network_after_as_many_updates(tmp_path):
    run, weights = trained(tmp_path / "q.h5", instruments=[every(4, ActivationStatistics())])
    assert run["activation_mean"].step.tolist() == [0, 4, 8, 12, 16, 20, 24]
    a = np.array([weights[t]["a"] for t in run["activation_mean"].step])
    expected = np.maximum(np.arange(1, 5)[None, :, None] * a[:, None, :], 0).mean(axis=(1, 2))
    np.testing.assert_allclose(run["activation_mean"].item("relu").values, expected, rtol=1e-5)


def test_raw_snapshots_are_exact_and_stay_below_their_size(tmp_path):
    snapshots = RawSnapshots("b", quantities=("gradient", "weight", "update"), max_size=3 * 48)
    run, weights = trained(tmp_path / "q.h5", instruments=[every(5, snapshots)])
    b = [weights[t]["b"] for t in range(26)]
    assert run["raw_gradient"].item("b").step.tolist() == [0, 5, 10]
    np.testing.assert_array_equal(run["raw_weight"].item("b").values, [b[0], b[5], b[10]])
    np.testing.assert_array_equal(run["raw_gradient"].item("b").values, [CURVATURE["b"] * b[t] for t in (0, 5, 10)])
    np.testing.assert_array_equal(run["raw_update"].item("b").values[1:], [b[5] - b[4], b[10] - b[9]])
    assert np.isnan(run["raw_update"].item("b").values[0]).all()
    assert [e.text for e in run.events if e.kind == "thinned"] == [
        "raw_snapshots reached its max_size of 0.000144 MB; it rests"
    ]


def test_phases_and_events(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], progress=False) as run:
        run.phase("warm-up")
        model.update()
        run.step(loss=1.0)
        run.event("note", "new data")
    events = [(e.kind, e.text, e.step) for e in open_run(tmp_path / "q.h5").events]
    assert events == [("phase", "warm-up", 0), ("note", "new data", 1)]


def test_what_a_run_says_of_itself(tmp_path):
    run, _ = trained(tmp_path / "q.h5", meta={"lr": 0.1})
    assert run.meta["framework"] == "quadratic"
    assert run.meta["config"] == {"lr": 0.1}
    assert run.meta["schedules"]["gradient_norm"] == "2 of 10 steps"
    assert [t["name"] for t in run.meta["tensors"]] == ["a", "b"]
    assert run.series["gradient_norm"].instrument == "gradient_norm"
    assert run.last_step == 25
    assert run.epochs == 2


def test_an_epoch_that_ended_with_the_training_counts_without_a_row(tmp_path):
    with record(Quadratic(), tmp_path / "q.h5", instruments=[], progress=False) as run:
        for _ in range(2):
            run.step(loss=1.0)
            run.epoch()
    assert open_run(tmp_path / "q.h5").epochs == 2


@pytest.mark.parametrize("steps", [0, 1])
def test_hardly_any_step(tmp_path, steps):
    run, _ = trained(tmp_path / "q.h5", steps=steps)
    assert run.state is State.DONE
    assert len(run.clock("activation_mean")) == 1 + steps
    assert ("loss" in run) == bool(steps)


def test_an_epoch_before_the_first_step(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", strict=True, progress=False) as run:
        run.epoch(val_loss=3.0, loss=4.0)
        model.update()
        run.step(loss=2.0)
        run.epoch(val_loss=1.0, loss=5.0)
    found = open_run(tmp_path / "q.h5")
    assert found["val_loss"].values.tolist() == [3.0, 1.0]
    assert found["val_loss"].step.tolist() == [0, 1]
    assert found["loss"].values.tolist() == [2.0]
    assert found["epoch/loss"].values.tolist() == [4.0, 5.0]


def test_max_size_thins_and_says_so(tmp_path):
    run, _ = trained(tmp_path / "q.h5", steps=6000, max_size="0.3 MB", instruments=[every(1, GradientNorm())])
    steps = run["gradient_norm"].step
    first = next(e for e in run.events if e.kind == "thinned")
    assert "max_size of 300 kB: from here on 1 of 2 rows of gradient_norm," in first.text
    assert steps[: first.step].tolist() == list(range(first.step))
    assert len(steps) < 5000
    assert run.last_step > 5900


def test_an_instrument_that_cannot_know_its_steps_in_time_is_refused(tmp_path):
    with pytest.raises(RecordError, match="compares with the step before"):
        record(Quadratic(), tmp_path / "q.h5", instruments=[each_epoch(UpdateRatio())])
