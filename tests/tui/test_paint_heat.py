"""Laws of heat maps and pictures: what a cell shows when it stands for many values, or for a part of one."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import Color, ColorSystem
from rich.console import Console

from recorder.chart import Chart, Heat, Picture, Scale
from tui.paint.field import Axis
from tui.paint.heat import EMPTY, blocks, shades
from tui.paint.palette import DIVERGING, channels, colour_code, levels, rgb, tinted
from tui.terminal import COLOUR_MAPS, Cursor, Depth, Look, paint

rng = np.random.default_rng(3)


def axes(rows: int, columns: int, cells: tuple[int, int]) -> tuple[Axis, Axis]:
    return Axis(0, columns, cells[1]), Axis(0, rows, cells[0], reverse=True)


@given(entries=st.integers(1, 500), cells=st.integers(1, 300), falling=st.booleans())
def test_every_entry_is_in_some_cell_and_every_cell_shows_one(entries, cells, falling):
    edges = np.linspace(0, 1, entries + 1)
    parts = blocks(edges[::-1] if falling else edges, cells)
    assert parts.valid.all()
    assert (parts.last > parts.first).all()
    shown = np.zeros(entries, dtype=bool)
    for first, last in zip(parts.first, parts.last, strict=True):
        shown[first:last] = True
    assert shown.all()


@given(entries=st.integers(1, 40), times=st.integers(1, 9))
def test_where_cells_are_a_multiple_every_entry_gets_as_many(entries, times):
    parts = blocks(np.linspace(0, 1, entries + 1), entries * times)
    assert (np.bincount(parts.first, minlength=entries) == times).all()


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, 199), column=st.integers(0, 1999), sign=st.sampled_from([-1, 1]))
def test_one_large_entry_among_many_is_shown(row, column, sign):
    values = rng.random((200, 2000)) * 0.1
    values[row, column] = sign * 9.0
    x, y = axes(200, 2000, (20, 80))
    shown = shades(Heat(values, diverging=True), x, y, rows=40)
    extreme = 1.0 if sign > 0 else 0.0
    assert shown.value[row * 40 // 200, column * 80 // 2000] == extreme
    assert (shown.value == extreme).sum() == 1


def test_a_nan_among_finite_values_is_marked_and_never_a_value():
    values = np.ones((4, 1000))
    values[2, 500] = np.nan
    x, y = axes(4, 1000, (4, 50))
    shown = shades(Heat(values), x, y, rows=4)
    assert shown.hides.sum() == 1
    assert shown.hides[2, 25]
    assert not np.isnan(shown.value).any()
    assert np.isnan(shades(Heat(np.full((4, 1000), np.nan)), x, y, rows=4).value).all()


@pytest.mark.parametrize("depth", Depth)
def test_nan_cells_look_like_no_value(depth):
    values = np.arange(40.0).reshape(4, 10)
    values[1, 3] = np.nan
    painting = paint(Chart("", marks=(Heat(values),), y=Scale(reverse=True)), 60, 20, Look(depth))
    field = painting.fields[0]
    assert field is not None
    cells = {}
    for row in range(field.height):
        for column in range(field.width):
            cell = tuple(painting.strips[field.top + row].crop(field.left + column, field.left + column + 1))
            key = (int(row * 4 / field.height), int(column * 10 / field.width))
            cells.setdefault(key, set()).add(cell)
    values_seen = set().union(*(seen for key, seen in cells.items() if key != (1, 3)))
    assert cells[1, 3].isdisjoint(values_seen)


def test_counts_of_zero_under_a_logarithm_are_ground():
    x, y = axes(1, 4, (1, 4))
    shown = shades(Heat(np.array([[0.0, 1.0, 10.0, 100.0]]), log=True), x, y, rows=1)
    np.testing.assert_allclose(shown.value, [[EMPTY, 0.0, 0.5, 1.0]])


def test_a_count_among_zeros_under_a_logarithm_is_shown():
    values = np.zeros((400, 10))
    values[37, 2], values[36, 2] = 100.0, 10.0
    x, y = axes(400, 10, (20, 10))
    shown = shades(Heat(values, log=True, limits=(1.0, 100.0)), x, y, rows=40)
    assert shown.value[3, 2] == 1.0
    assert (shown.value > EMPTY).sum() == 1


@pytest.mark.parametrize("normalise", ["global", "row", "column"])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_reduced_is_what_one_by_one_gives(normalise, log, reverse):
    values = rng.normal(size=(90, 70)) * 10
    values[rng.random(values.shape) < 0.1] = np.nan
    x, y = Axis(0, 70, 20), Axis(0, 90, 6, reverse=reverse)
    heat = Heat(np.abs(values) if log else values, log=log)
    every = shades(heat, Axis(0, 70, 70), Axis(0, 90, 90, reverse=reverse), rows=90, normalise=normalise).value
    shown = shades(heat, x, y, rows=9, normalise=normalise).value
    for row in range(9):
        for column in range(20):
            inside = [k for k in range(70) if column <= (k + 0.5) / 3.5 < column + 1]
            assert shown[row, column] in every[10 * row : 10 * row + 10, inside]


def test_each_row_can_have_its_own_scale():
    values = np.array([[1.0, 2, 3], [100, 200, 300]])
    x, y = axes(2, 3, (2, 3))
    np.testing.assert_allclose(shades(Heat(values), x, y, rows=2, normalise="row").value, [[0, 0.5, 1]] * 2)
    np.testing.assert_allclose(shades(Heat(values), x, y, rows=2, normalise="column").value, [[0] * 3, [1] * 3])


def test_categories_show_the_commonest():
    values = np.array([[0, 0, 1, 2, 2, 2]])
    x, y = axes(1, 6, (1, 2))
    assert shades(Heat(values, categories=("a", "b", "c")), x, y, rows=1).value.tolist() == [[0, 2]]


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_colour_maps_are_matplotlibs(name):
    reference = matplotlib.colormaps[name](np.arange(256))[:, :3] * 255
    assert np.abs(channels(levels(name, Depth.TRUE)) - reference).max() < 12


@pytest.mark.parametrize("name", [*COLOUR_MAPS, DIVERGING])
def test_levels_in_256_colours_are_distinct_there_and_arrive_unchanged(name):
    table = levels(name, Depth.PALETTE)
    codes = colour_code(table, Depth.PALETTE)
    assert len(set(codes.tolist())) == len(codes) >= 12
    for code in codes.tolist():  # the explorer's library turns them into rgb and back
        assert Color.from_triplet(Color.from_ansi(code).get_truecolor()).downgrade(ColorSystem.EIGHT_BIT).number == code
    if name == DIVERGING:
        assert len(codes) % 2 == 1  # zero has a colour of its own, in the middle
        assert np.ptp(channels(table[len(table) // 2])) == 0
    else:
        weights = np.array([0.2126, 0.7152, 0.0722])
        brightness = channels(table) @ weights
        assert (np.diff(brightness) > -12).all()


def test_shading_keeps_its_hue_in_256_colours():
    red = channels(tinted(rgb("#15171b"), rgb("#ff5f5f"), 0.28, Depth.PALETTE))
    assert red[0] > red[1] + 30


def test_alpha_mixes_with_the_ground():
    heat = Heat(np.ones((2, 2)), limits=(0, 1), alpha=0.0)
    strips = paint(Chart("", marks=(heat,)), 40, 12, Look()).strips
    ground = rgb(Look().theme.background)
    colours = {segment.style.bgcolor.triplet.hex for strip in strips for segment in strip if segment.style}
    # All that is not ground is the colour bar, which is drawn as glyphs.
    assert colours == {f"#{ground:06x}"}


@pytest.mark.parametrize("shape", [(20, 20), (7, 90), (90, 7), (300, 200)])
def test_pictures_keep_their_proportions(shape):
    painting = paint(Chart("", marks=(Picture(np.ones((*shape, 3))),)), 80, 24, Look())
    white = [
        sum(len(s.text) for s in strip if s.style and s.style.bgcolor and s.style.bgcolor.triplet.hex == "#ffffff")
        for strip in painting.strips
    ]
    width, height = max(white), sum(n > 0 for n in white)
    assert width / (2 * height) == pytest.approx(shape[1] / shape[0], rel=0.35)


def test_a_picture_of_one_colour_is_that_colour():
    strips = paint(Chart("", marks=(Picture(np.full((9, 9), 0.5)),)), 40, 20, Look()).strips
    assert "#808080" in {s.style.bgcolor.triplet.hex for strip in strips for s in strip if s.style and s.style.bgcolor}


def test_the_selected_cell_is_marked_and_its_row_lit():
    chart = Chart("", Scale("step"), Scale(names=("a", "b", "c"), reverse=True), (Heat(rng.random((3, 30))),))
    painting = paint(chart, 60, 20, Look(), cursor=Cursor(row=1, column=15))
    assert sum("◆" in strip.text for strip in painting.strips) == 1
    assert any(s.style and s.style.bold and s.text.strip().startswith("b") for strip in painting.strips for s in strip)


def test_where_rows_share_a_line_the_lit_name_is_that_of_the_cursors_row():
    names = tuple(f"row{k}" for k in range(40))
    chart = Chart("", Scale("step"), Scale(names=names, reverse=True), (Heat(rng.random((40, 30))),))
    for row, name in enumerate(names):
        painting = paint(chart, 60, 14, Look(), cursor=Cursor(row=row, column=15))
        field = painting.fields[0]
        assert field is not None
        assert field.height < len(names) / 2
        lit = [
            s.text.strip(" ┤│")
            for strip in painting.strips
            for s in strip.crop(0, field.left)
            if s.style and s.style.bold and s.text.strip(" ┤│")
        ]
        assert lit == [name]


def test_the_steps_of_columns_are_their_ticks():
    steps = np.array([0, 10, 50, 100, 500, 1000, 5000, 10000], dtype=np.int64)
    chart = Chart("", Scale("step"), marks=(Heat(rng.random((3, 8)), column_steps=steps),))
    painting = paint(chart, 120, 20, Look())
    field = painting.fields[0]
    assert field is not None
    assert painting.strips[field.top + field.height + 1].text.split() == [str(step) for step in steps]


def _axis(painting) -> str:
    field = painting.fields[0]
    return painting.strips[field.top + field.height + 1].text


@pytest.mark.parametrize(("label", "x", "words"), [("epoch", 1.52, "1.52"), ("time", 4.5, "4.5"), ("step", 3.0, "3")])
def test_the_cursors_label_is_a_place_on_the_axis_and_cuts_no_other_label(label, x, words):
    edges = np.linspace(0, 10, 101)
    heat = Heat(rng.random((3, 100)), x=edges, y=np.arange(4.0), column_steps=np.arange(100) * 1000)
    chart = Chart("", Scale(label), marks=(heat,))
    untouched = _axis(paint(chart, 60, 20, Look())).split()
    for at in (x, *np.linspace(0.1, 9.9, 50)):
        shown = _axis(paint(chart, 60, 20, Look(), cursor=Cursor(x=at))).split()
        assert len([word for word in shown if word not in untouched]) <= 1
    assert words in _axis(paint(chart, 60, 20, Look(), cursor=Cursor(x=x))).split()


def sent(painting, depth: Depth) -> int:
    system = {Depth.TRUE: "truecolor", Depth.PALETTE: "256"}[depth]
    console = Console(color_system=system, force_terminal=True)
    return sum(len(strip.render(console)) for strip in painting.strips)


@pytest.mark.parametrize("depth", [Depth.TRUE, Depth.PALETTE])
def test_a_whole_frame_of_whatever_values_stays_small(depth):
    at = np.arange(1000)
    course = np.exp(-at / 300) * (1 + 0.2 * np.sin(np.arange(200)[:, None] + at / 9))
    noisy = course * (1 + 0.1 * rng.normal(size=course.shape))
    for values, most in ((course, 62_000), (noisy, 62_000), (noisy - 0.5, 62_000), (rng.random((40, 110)), 96_000)):
        heat = Heat(values, diverging=bool((values < 0).any()))
        assert sent(paint(Chart("", marks=(heat,)), 120, 40, Look(depth)), depth) < most


def test_colours_are_only_rounded_where_a_frame_would_be_large():
    values = np.linspace(0, 1, 200)[None].repeat(4, axis=0)
    few = paint(Chart("", marks=(Heat(values),)), 120, 12, Look(Depth.TRUE))
    shown = {s.style.bgcolor.triplet for strip in few.strips for s in strip if s.style and s.style.bgcolor}
    assert len(shown) > 80
