"""Near-zero sets, sign flips, extrema and weight change on gradients that were made for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recorder.entries import chart_of, entries
from recorder.errors import RecordError
from recorder.instruments import GradientNorm, LocalExtrema, NearZero, NearZeroRelative, SignFlips, WeightChange
from recorder.runfile.schema import Clock
from recorder.view import At, Window
from tests.fakes import FakeRun
from tests.instruments.readings import FACTS, reading

NEAR, FAR = 2e-6, 1.0
# w: retained and flipped over a minimum, released, trapped, tight, far and flipped over a maximum, far and still
BEFORE = {"w": np.array([[-NEAR, NEAR, FAR], [0.0, -FAR, FAR]]), "b": np.array([FAR, FAR, FAR])}
NOW = {"w": np.array([[NEAR, FAR, -NEAR], [1e-8, FAR, FAR]]), "b": np.array([FAR, FAR, FAR])}
WEIGHTS_BEFORE = {"w": np.zeros((2, 3)), "b": np.zeros(3)}
WEIGHTS = {"w": np.array([[0.3, 0, 0], [0, -0.4, 0]]), "b": np.array([0.0, 0, 12.0])}

SEEN = reading(gradients=NOW, weights=WEIGHTS, gradients_before=BEFORE, before=WEIGHTS_BEFORE)
FIRST = reading(gradients=NOW, weights=WEIGHTS)


def test_the_near_zero_set_from_one_update_to_the_next():
    row = NearZero().measure(SEEN)
    expected = {"count": 3, "count_tight": 1, "retained": 2, "released": 1, "trapped": 1,
                "flips": 1, "minima": 1, "maxima": 0}  # fmt: skip
    assert {name: row[f"near_zero_{name}"].tolist() for name in expected} == {n: [k, 0] for n, k in expected.items()}
    assert row["near_zero_total"].tolist() == list(expected.values())
    np.testing.assert_array_equal(row["near_zero_released_share"], [1 / 3, np.nan])
    np.testing.assert_array_equal(row["near_zero_flips_share"], [1 / 2, np.nan])
    np.testing.assert_array_equal(row["near_zero_share_total"], [1 / 3, 1 / 2])


def test_what_compares_is_undefined_at_first():
    row = NearZero().measure(FIRST)
    assert row["near_zero_count"].tolist() == [3, 0]
    for name in ("retained", "released", "trapped", "flips", "minima", "maxima"):
        assert row[f"near_zero_{name}"].tolist() == [0, 0]
    for name in ("near_zero_released_share", "near_zero_flips_share", "near_zero_share_total"):
        assert np.isnan(row[name]).all()
    assert np.isnan(SignFlips().measure(FIRST)["sign_flips_share"]).all()
    assert np.isnan(SignFlips().measure(FIRST)["sign_flips_total"]).all()
    assert np.isnan(WeightChange().measure(FIRST)["weight_change_total"]).all()


def test_sign_flips_of_all_entries():
    row = SignFlips().measure(SEEN)
    assert row["sign_flips"].tolist() == [3, 0]
    assert row["sign_flips_share"].tolist() == [3 / 6, 0]
    assert row["sign_flips_total"].tolist() == [3 / 9]


def test_extrema_of_all_entries():
    row = LocalExtrema().measure(SEEN)
    assert (row["local_minima"].tolist(), row["local_maxima"].tolist()) == ([1, 0], [1, 0])
    assert row["local_extrema_total"].tolist() == [1, 1]


def test_weight_change_is_the_norm_of_the_difference():
    row = WeightChange().measure(SEEN)
    np.testing.assert_allclose(row["weight_change_norm"], [0.5, 12])
    np.testing.assert_allclose(row["weight_change_total"], [np.hypot(0.5, 12)])


def test_totals_take_in_what_is_not_finite_but_not_what_is_not_there():
    one = {"w": np.full((2, 3), 2.0)}
    assert GradientNorm().measure(reading(gradients=one))["gradient_total"] == pytest.approx(np.sqrt(24))
    bad = GradientNorm().measure(reading(gradients={**one, "b": np.array([0, np.nan, 0])}))["gradient_total"]
    assert np.isnan(bad)
    bad = WeightChange().measure(reading(weights={"b": np.array([np.nan, 0, 0])}, before={"b": np.zeros(3)}))
    assert np.isnan(bad["weight_change_total"])


def test_what_is_small_beside_the_others_of_its_tensor():
    gradients = {"w": np.array([[1.0, 1e-3, -1e-3], [1.0, 0.0, 1.0]]), "b": np.full(3, 1e-9)}
    row = NearZeroRelative().measure(reading(gradients=gradients))
    assert row["near_zero_relative_count"].tolist() == [3, 0]
    assert row["near_zero_relative_total"].tolist() == [3]
    with pytest.raises(RecordError, match=r"NearZeroRelative\(tau=-1\): expected 0 <= tau"):
        NearZeroRelative(tau=-1)
    docs = {s.name: s.doc for s in NearZeroRelative(tau=0.5).declare(FACTS)}
    assert "|g| <= 0.5 rms(g)" in docs["near_zero_relative_count"]


@pytest.mark.parametrize("options", [{"tau": -1}, {"tau": np.nan}, {"tau": 1e-9}, {"tight": 1.0}, {"tau": np.inf}])
def test_thresholds_that_make_no_sense_are_refused(options):
    with pytest.raises(RecordError, match=r"NearZero\(tau=.*expected 0 <= tight <= tau"):
        NearZero(**options)


def test_the_sentence_names_the_threshold():
    docs = {s.name: s.doc for s in NearZero(tau=0.5, tight=0.25).declare(FACTS)}
    assert "|g| <= 0.5" in docs["near_zero_count"]
    assert "|g| <= 0.25" in docs["near_zero_count_tight"]


def test_the_share_of_near_zero_entries_is_derived_from_the_counts():
    series = {s.name: replace(s, instrument="near_zero") for s in NearZero().declare(FACTS)}
    row, clock = NearZero().measure(SEEN), Clock(np.arange(2), np.zeros(2, int), np.arange(2.0))
    data = {name: (s, clock, np.stack([row[name]] * 2)) for name, s in series.items()}
    run = FakeRun(data=data, meta={"tensors": [{"name": "w", "shape": [2, 3]}, {"name": "b", "shape": [3]}]})
    names = [entry.name for entry in entries(run)]
    assert names.index("near_zero_count_total") < names.index("near_zero_count") < names.index("near_zero_share")
    chart = chart_of(run, "near_zero_share", At(item="w"), Window())
    assert chart.marks[0].y.tolist() == [0.5, 0.5]
