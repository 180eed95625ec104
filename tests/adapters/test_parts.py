"""Numbers of parts, put together, are those of the whole, wherever it was cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.adapters import parts
from recorder.adapters.rows import HostRows, Update
from recorder.instruments import INSTRUMENTS
from recorder.reading import Need, Plan, Statistic

WANTED = frozenset(s for s in Statistic if s not in parts.OF_WHOLES)
PLAN = Plan(WANTED, keep_weights=True, keep_signs=True, keep_turns=True)


def measured(weights, gradients):
    """-> the tables of some updates of one tensor"""
    rows = HostRows(["w"])
    found = []
    for w, g in zip(weights, gradients, strict=True):
        rows.measure(parts.completed(PLAN), [Update(0, w, g)])
        found.append(rows.end())
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.lists(st.integers(0, 300), max_size=3))
def test_sums_over_parts_are_those_of_the_whole(seed, size, cuts):
    draws = np.random.default_rng(seed)
    weights = draws.standard_normal((3, size)).astype(np.float32)
    gradients = draws.choice([0.0, 1e-8, -1e-6, 1.0, -3.0], (3, size)).astype(np.float32)
    whole = measured(weights, gradients)
    places = sorted(min(cut, size) for cut in cuts)
    shares = [
        measured(list(map(np.ascontiguousarray, w)), list(map(np.ascontiguousarray, g)))
        for w, g in zip(np.split(weights, places, axis=1), np.split(gradients, places, axis=1), strict=True)
    ]
    for k in range(3):
        sums = [parts.sums(rows[k].table, np.array([True]), rows[k - 1].table if k else {}) for rows in shares]
        total = {s: np.sum([one[s] for one in sums], axis=0) for s in sums[0]}
        found = parts.wholes(total, np.array([True]))
        assert found.keys() == whole[k].table.keys() == WANTED
        for statistic, column in whole[k].table.items():
            assert found[statistic].dtype == column.dtype
            if column.dtype.kind == "i":
                np.testing.assert_array_equal(found[statistic], column)
            elif statistic in parts.ANGLES:  # near 0 and 180 degrees the arc cosine of a rounded number is a rough one
                np.testing.assert_allclose(found[statistic], column, atol=1e-4)
            else:
                np.testing.assert_allclose(found[statistic], column, rtol=1e-6)


def test_what_is_not_counted_here_adds_nothing():
    row = measured([np.ones(3, np.float32)], [np.full(3, np.nan, np.float32)])[0]
    sums = parts.sums(row.table, np.array([False]), {})
    assert all((column == 0).all() for column in sums.values())
    norm = parts.wholes(sums, np.array([False]))[Statistic.GRADIENT_NORM]
    assert np.isnan(norm).all()


def test_an_entry_that_is_not_finite_is_seen_in_the_whole():
    bad, good = (measured([np.ones(2, np.float32)], [np.array(g, np.float32)])[0] for g in ([np.inf, 1], [1, 1]))
    sums = [parts.sums(row.table, np.array([True]), {}) for row in (bad, good)]
    whole = parts.wholes({s: sums[0][s] + sums[1][s] for s in sums[0]}, np.array([True]))
    assert whole[Statistic.GRADIENT_NORM] == np.inf
    assert whole[Statistic.GRADIENT_NONFINITE] == 1


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda i: i.name)
def test_an_instrument_of_parts_wants_nothing_of_wholes(instrument):
    one = instrument()
    wants_wholes = bool(one.statistics & parts.OF_WHOLES) or bool(one.needs & {Need.RAW, Need.MODEL})
    assert parts.adds_up(one) != wants_wholes
