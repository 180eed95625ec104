"""Laws of the dots: a line is connected, thinning changes nothing, clipping keeps slopes, bands cover their lines."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.paint import raster
from tui.paint.canvas import BRAILLE
from tui.paint.raster import Grid

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, points=st.integers(2, 3000), columns=st.integers(1, 120), rows=st.integers(1, 80))
def test_thinning_draws_the_very_same_picture(seed, points, columns, rows):
    rng = np.random.default_rng(seed)
    grid = Grid(columns, rows)
    x = np.sort(rng.random(points))
    y = np.where(rng.random(points) < 0.01, np.nan, rng.random(points))
    thinned = raster.line(grid, x, y)
    whole = np.zeros_like(thinned)
    for k in range(points - 1):
        if np.isfinite(y[k] + y[k + 1]):
            raster.segments(whole, grid, x[k : k + 1], y[k : k + 1], x[k + 1 : k + 2], y[k + 1 : k + 2])
    raster.scatter(whole, grid, x[np.isfinite(y)], y[np.isfinite(y)])
    # Inside one column of dots the thinned line joins lowest and highest, across a NaN too: never less, hardly more.
    assert (thinned | ~whole).all()
    assert (thinned & ~whole).any(axis=0).sum() <= np.isnan(y).sum()


@given(seed=seeds, points=st.integers(2, 50))
def test_a_line_without_gaps_is_connected(seed, points):
    rng = np.random.default_rng(seed)
    dots = raster.line(Grid(60, 40), np.linspace(0, 1, points), rng.random(points))
    assert dots.any(axis=0).all()
    rows = [np.flatnonzero(column) for column in dots.T]
    for left, right in itertools.pairwise(rows):
        assert left.min() - 1 <= right.max()
        assert right.min() - 1 <= left.max()


@given(far=st.floats(1, 1e5))
def test_clipping_keeps_the_slope(far):
    x = np.array([-far, 1 + far])
    dots = raster.line(Grid(50, 50), x, x)
    row, column = np.nonzero(dots)
    assert np.abs((49 - row) - column).max() <= 1
    assert dots.any(axis=0).all()


def test_lines_outside_leave_no_dots():
    grid = Grid(20, 20)
    assert not raster.line(grid, np.array([0.0, 1.0]), np.array([1.5, 2.5])).any()
    assert not raster.line(grid, np.array([-2.0, -1.0]), np.array([0.5, 0.5])).any()
    assert not raster.line(grid, np.array([0.0, 1.0]), np.array([np.nan, np.inf])).any()
    assert raster.line(grid, np.array([0.0, 1.0]), np.array([-1e300, 1e300])).any()


def test_a_point_between_gaps_is_a_dot():
    y = np.array([np.nan, 0.5, np.nan])
    assert raster.line(Grid(9, 9), np.array([0.0, 0.5, 1.0]), y).sum() == 1


def test_a_dashed_line_has_gaps_and_only_dots_of_the_whole_one():
    x = np.linspace(0, 1, 30)
    whole, dashed = (
        raster.line(Grid(200, 40), np.array([0.0, 1.0]), np.array([0.1, 0.9]), dashed=d) for d in (False, True)
    )
    assert (whole | ~dashed).all()
    assert 0.3 < dashed.sum() / whole.sum() < 0.7
    assert raster.line(Grid(200, 40), x, x).sum() == 200


@given(seed=seeds, points=st.integers(2, 800))
def test_a_band_covers_the_points_between_its_edges(seed, points):
    rng = np.random.default_rng(seed)
    x, lo = np.linspace(0, 1, points), rng.random(points) * 0.5
    hi = lo + rng.random(points) * 0.5
    grid = Grid(80, 60)
    covered = raster.band(grid, x, lo, hi)
    middle = (lo + hi) / 2
    dots = grid.empty()
    raster.scatter(dots, grid, x, middle)
    assert (covered | ~dots).all()


def test_a_band_reaches_from_below_the_frame():
    x, hi = np.array([0.0, 0.5, 1.0]), np.full(3, 0.5)
    dots = raster.band(Grid(9, 8), x, np.full(3, -np.inf), hi)
    np.testing.assert_array_equal(dots, raster.band(Grid(9, 8), x, np.full(3, -1.0), hi))
    assert dots[-4:].all()


def test_a_band_breaks_where_it_is_not_finite():
    x = np.linspace(0, 1, 100)
    hi = np.where((x > 0.4) & (x < 0.6), np.nan, 0.8)
    dots = raster.band(Grid(100, 20), x, np.full(100, 0.2), hi)
    assert not dots[:, 45:55].any()
    assert dots[:, :38].any(axis=0).all()


def test_braille_bits_are_those_of_the_standard():
    cells = {(0, 0): "⠁", (1, 0): "⠂", (2, 0): "⠄", (3, 0): "⡀", (0, 1): "⠈", (1, 1): "⠐", (2, 1): "⠠", (3, 1): "⢀"}
    for (row, column), glyph in cells.items():
        dots = np.zeros((4, 2), dtype=bool)
        dots[row, column] = True
        assert chr(BRAILLE + int(raster.braille(dots)[0, 0])) == glyph
