"""Angles, secant curvature and the movement of near-zero weights: closed forms, and numpy beside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis import statistics, turns
from recorder.analysis.statistics import Kept, Table

WANTED = (*turns.ANGLES, *turns.QUANTILES)


class Training:
    """One tensor, update after update."""

    def __init__(self, *, tau=(1e-5, 1e-7)) -> None:
        self.table = Table(WANTED, 1, tau=tau)
        self.kept: Kept | None = None

    def step(self, gradient, weight, *, keep=True):
        gradient, weight = (x if isinstance(x, np.ndarray) else np.array(x, float) for x in (gradient, weight))
        self.kept = self.kept if self.kept is not None else Kept.room_for(weight)
        self.table.measure(0, gradient, weight, kept=self.kept, keep=keep, keep_signs=keep, keep_turns=keep)
        return {name: column[0] for name, column in self.table.columns().items()}


@pytest.fixture(params=["compiled", "numpy"], autouse=True)
def passes(request, monkeypatch):
    """Both passes, one after the other."""
    if request.param == "numpy":
        monkeypatch.setattr(statistics, "_compiled", lambda: None)


@pytest.mark.parametrize(("second", "angle"), [((0, 2), 90), ((3, 0), 0), ((-1, 0), 180), ((1, 1), 45)])
def test_angles_that_are_known(second, angle):
    training = Training()
    assert np.isnan(training.step([1.0, 0.0], [0.0, 0.0])["gradient_angle"])
    assert training.step(second, [1.0, 0.0])["gradient_angle"] == pytest.approx(angle, abs=1e-6)


def test_the_cosine_of_two_changes_needs_three_updates():
    training, g = Training(), [1.0, 1.0]
    found = [training.step(g, w)["update_cosine"] for w in ([0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [1.0, 1.0])]
    np.testing.assert_allclose(found, [np.nan, np.nan, 0, -1], atol=1e-12)


def test_a_vector_of_zeros_has_no_angle():
    training = Training()
    training.step([0.0, 0.0], [0.0, 0.0])
    found = training.step([1.0, 0.0], [0.0, 0.0])
    assert np.isnan(found["gradient_angle"])
    assert np.isnan(training.step([1.0, np.nan], [0.0, 0.0])["gradient_angle"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_a_quadratic_the_curvature_is_the_diagonal_of_the_hessian(dtype):
    hessian = np.linspace(0.5, 4, 1001)
    training, w = Training(), np.linspace(1, 2, 1001).astype(dtype)
    for _ in range(3):
        gradient = (hessian * w).astype(dtype)
        found = training.step(gradient, w)
        w = w - (0.1 * gradient).astype(dtype)
    np.testing.assert_allclose(found["secant_curvature"], np.quantile(hessian, turns.AT), rtol=1e-5)


def test_of_a_large_tensor_evenly_spaced_entries_are_taken():
    n = 3 * turns.SAMPLE + 5
    hessian, training, w = np.linspace(1, 3, n), Training(), np.ones(n)
    training.step(hessian * w, w)
    found = training.step(hessian * w * 0.5, w * 0.5)["secant_curvature"]
    np.testing.assert_allclose(found, np.quantile(hessian[:: turns.stride(n)], turns.AT), rtol=1e-9)
    assert len(hessian[:: turns.stride(n)]) <= turns.SAMPLE


def test_weights_that_stand_still_have_no_curvature():
    training = Training()
    training.step([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    found = training.step([1.0, 5.0, 3.0], [0.0, 0.0, 1.0])
    assert found["secant_curvature"].tolist() == [2.0] * 5
    assert np.isnan(training.step([1.0, 5.0, 3.0], [0.0, 0.0, 1.0])["secant_curvature"]).all()


def test_the_movement_of_what_stays_near_zero_is_exact():
    rng = np.random.default_rng(0)
    training = Training(tau=(0.5, 0.1))
    before, now = rng.standard_normal((2, 5000)).astype(np.float32)
    w, v = rng.standard_normal((2, 5000)).astype(np.float32)
    assert np.isnan(training.step(before, v)["near_zero_movement"]).all()
    retained = (np.abs(before) <= 0.5) & (np.abs(now) <= 0.5)
    found = training.step(now, w)["near_zero_movement"]
    np.testing.assert_allclose(found, np.quantile(np.abs(w - v)[retained].astype(float), turns.AT), rtol=1e-7)
    assert np.isnan(training.step(np.ones_like(now), w)["near_zero_movement"]).all()


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_infinity=False)))
def test_quantiles_are_those_of_numpy(values):
    with np.errstate(all="ignore"):
        expected = np.quantile(values.astype(np.float64), turns.AT) if len(values) else np.full(5, np.nan)
    np.testing.assert_allclose(turns.quantiles(values), expected, rtol=1e-12, atol=1e-300)


def test_what_was_not_seen_is_not_compared():
    training, g, w = Training(), np.ones(3), np.ones(3)
    training.step(g, w)
    training.step(g, w + 1)
    training.kept.valid = False  # an update passed by
    assert all(np.isnan(x).all() for x in training.step(g, w).values())
    assert np.isfinite(training.step(g, w + 1)["gradient_angle"])
    training.step(g, w, keep=False)
    assert all(np.isnan(x).all() for x in training.step(g, w).values())
