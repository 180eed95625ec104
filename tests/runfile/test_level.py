"""A level is the minimum, mean, maximum and non-finite count of 256 rows, however the rows arrived."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.runfile.layout import BUCKET
from recorder.runfile.level import WIDE, Level, from_stored, reduced, summarise


@given(st.sets(st.integers(0, 59)), st.sampled_from([np.add, np.minimum, np.fmax]), st.booleans(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_wide_rows_are_reduced_as_narrow_ones(cuts: set[int], operation: np.ufunc, counts: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((60, 2 * WIDE)) < 0.5 if counts else rng.normal(size=(60, 2 * WIDE)).astype("f4")
    starts, dtype = np.array(sorted({0, *cuts})), np.int64 if counts else np.float64
    narrow = [reduced(operation, one[:, None], starts, dtype) for one in values.T]
    np.testing.assert_allclose(reduced(operation, values, starts, dtype), np.concatenate(narrow, axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        reduced(operation, values, starts, dtype), operation.reduceat(values, starts, dtype=dtype)
    )


def brute(values: np.ndarray) -> np.ndarray:
    """(bucket, 4, item) of whole buckets, one number at a time."""
    out = []
    for k in range(len(values) // BUCKET):
        rows = values[k * BUCKET : (k + 1) * BUCKET].astype(float)
        columns = [c[np.isfinite(c)] for c in rows.T]
        some = [(c.min(), c.mean(), c.max()) if len(c) else (np.nan,) * 3 for c in columns]
        out.append([[s[j] for s in some] for j in range(3)] + [[BUCKET - len(c) for c in columns]])
    return np.array(out).reshape(-1, 4, values.shape[1])


@given(st.lists(st.integers(1, 700), min_size=1, max_size=8), st.sampled_from([1, 2]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_level_is_the_same_however_rows_arrive(pieces: list[int], chunk: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(sum(pieces), 2)).astype("f4")
    values[rng.random(values.shape) < 0.01] = np.nan
    values[: BUCKET + 3, 1] = np.inf  # a bucket without any finite value
    level, written, start = Level(), [], 0
    for piece in pieces:
        entries, level = level.extended(values[start : start + piece]).whole(chunk)
        written += [] if entries is None else [entries]
        start += piece
    expected = brute(values)
    expected = expected[: len(expected) // chunk * chunk]
    found = np.concatenate(written) if written else np.zeros((0, 4, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    assert level.written == len(expected)


def test_what_is_stored_is_what_was_summarised() -> None:
    values = np.random.default_rng(0).normal(size=(4 * BUCKET, 3))
    values[5, 0], values[:BUCKET, 2] = np.nan, np.nan
    summary = summarise(values, np.arange(4) * BUCKET)
    again = from_stored(summary.stored(), np.arange(len(summary)))
    for name in ("low", "high", "total", "finite", "nonfinite"):
        np.testing.assert_allclose(getattr(again, name), getattr(summary, name))


def test_integers_are_summed_without_overflow() -> None:
    values = np.full((BUCKET, 1), 2**31 - 1, "i4")
    summary = summarise(values, np.array([0]))
    assert summary.total[0, 0] == BUCKET * (2**31 - 1)
    assert summary.low[0, 0] == summary.high[0, 0] == 2**31 - 1


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), entries=st.integers(1, 40), bad=st.floats(0, 1))
def test_entries_joined_as_stored_are_those_joined_as_summaries(seed: int, entries: int, bad: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(entries * 8, 3)).astype("f4")
    values[rng.random(values.shape) < bad] = np.nan
    values[rng.random(entries * 8) < bad] = np.inf
    summary = summarise(values, np.arange(entries) * 8)
    starts = np.unique(np.append(0, rng.integers(0, entries, 5)))
    found, expected = from_stored(summary.stored(), starts, 8), summary.merged(starts)
    for name in ("low", "high", "total", "finite", "nonfinite"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-12)
