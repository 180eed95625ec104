"""Raw snapshots: what was asked for, exact, below the size that was allowed."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.errors import RecordError
from recorder.instruments import RawSnapshots
from recorder.reading import Finished
from tests.instruments.readings import FACTS, reading


def test_globs_choose_tensors_and_quantities_choose_series():
    snapshots = RawSnapshots(["w*", "b"], quantities=("gradient", "weight"))
    assert snapshots.raw(FACTS) == {(q, t) for q in ("gradient", "weight") for t in ("w", "b")}
    gradient, weight = snapshots.declare(FACTS)
    assert (gradient.name, weight.name) == ("raw_gradient", "raw_weight")
    assert gradient.items == ("w", "b")
    assert gradient.ragged == ((2, 3), (3,))


def test_values_are_passed_on_as_they_are_and_others_are_not():
    w, b = np.random.default_rng(0).normal(size=(2, 3)), np.ones(3)
    row = RawSnapshots("w").measure(reading(raw={("gradient", "w"): w, ("gradient", "b"): b, ("weight", "w"): w}))
    assert list(row) == ["raw_gradient"]
    assert list(row["raw_gradient"]) == ["w"]
    np.testing.assert_array_equal(row["raw_gradient"]["w"], w)


def test_a_tensor_that_was_not_updated_is_left_out():
    assert RawSnapshots().measure(reading()) == {"raw_gradient": {}}


def test_at_its_size_it_finishes():
    raw = {("gradient", "w"): np.ones((2, 3))}
    snapshots = RawSnapshots("w", max_size=100)
    snapshots.measure(reading(raw=raw))
    snapshots.measure(reading(raw=raw))
    with pytest.raises(Finished, match="max_size"):
        snapshots.measure(reading(raw=raw))


def test_what_cannot_be_recorded_is_refused_and_says_what_can():
    with pytest.raises(RecordError, match=r"no tensor matches x\*; there are w, b"):
        RawSnapshots("x*").declare(FACTS)
    with pytest.raises(RecordError, match="choose from gradient, weight, update"):
        RawSnapshots(quantities=("activation",))
