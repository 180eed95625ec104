"""The order of clustered units: those that go together stand together, whatever order they came in."""

import numpy as np
import pytest

from recorder.analysis import clustering
from recorder.analysis.clustering import clustered


def families(rng, samples=200, each=6, count=4):
    """Units that follow one of `count` signals, shuffled: (sample, unit), the signal of each."""
    signal = np.repeat(np.arange(count), each)[rng.permutation(each * count)]
    return rng.standard_normal((samples, count))[:, signal] + 0.3 * rng.standard_normal((samples, len(signal))), signal


@pytest.mark.parametrize("optimal", [512, 0])
def test_units_of_a_family_stand_together(monkeypatch, optimal):
    monkeypatch.setattr(clustering, "OPTIMAL", optimal)
    x, signal = families(np.random.default_rng(0))
    order = clustered(np.corrcoef(x, rowvar=False).astype(np.float32))
    assert sorted(order) == list(range(len(signal)))
    assert np.count_nonzero(np.diff(signal[order])) == 3


def test_neighbours_are_at_least_as_close_as_in_the_order_given():
    r = np.corrcoef(np.random.default_rng(2).standard_normal((40, 30)), rowvar=False)
    order = clustered(r)
    assert np.sum(r[order[1:], order[:-1]]) > np.sum(np.diagonal(r, 1))


@pytest.mark.parametrize("units", [0, 1, 2])
def test_few_units_stay_as_they_are(units):
    assert clustered(np.eye(units)).tolist() == list(range(units))


def test_what_has_no_correlation_has_a_place():
    r = np.eye(5)
    r[3, :] = r[:, 3] = np.nan
    r[2] = 0
    assert sorted(clustered(r)) == list(range(5))
