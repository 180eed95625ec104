"""Laws of every painting: its size, its colours, its glyphs, and that nothing which matters is lost."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.color import ColorType
from rich.style import Style

from recorder.chart import (
    Band,
    Bars,
    Box,
    Chart,
    Edges,
    Heat,
    Line,
    Mark,
    Picture,
    Plate,
    Points,
    Rule,
    Scale,
    Table,
    Text,
)
from tui.terminal import Cursor, Depth, Look, Painting, paint, read_out
from tui.theme import LIGHT

rng = np.random.default_rng(7)
T = np.arange(300.0)
NOISE = rng.standard_normal(300)
SPOILT = np.where(T % 50 == 3, np.nan, np.where(T == 100, np.inf, np.where(T == 200, -np.inf, NOISE)))
MARKS: dict[type, tuple[Mark, ...]] = {
    Line: (Line(T, SPOILT, "a"), Line(T, NOISE, "b", faint=True), Line(T, -NOISE, dashed=True, steps=True)),
    Band: (Band(T, SPOILT - 1, SPOILT + 1, "band"),),
    Bars: (Bars(np.arange(301.0), NOISE, "bars"), Bars(np.array([0.0, 1.0, 2.0]), np.array([np.nan, 3.0]))),
    Points: (Points(NOISE, SPOILT, group=np.arange(300) % 3, group_names=("x", "y", "z")), Points(T, NOISE)),
    Heat: (Heat(rng.standard_normal((7, 300)), diverging=True),),
    Picture: (Picture(rng.random((20, 30, 3))),),
    Rule: (Rule(150.0, label="epoch 1"), Rule(0.5, "y", role="bad")),
    Box: (Box(10.0, 20.0, role="bad", label="NaN"), Box(50.0, 60.0, 0.1, 0.2)),
    Edges: (Edges(T[:9], NOISE[:9], T[9:18], SPOILT[9:18], NOISE[:9], "weights"),),
    Text: (Text(5.0, 0.0, "some words"),),
    Table: (Table(("name", "loss"), (("run [/b]", "0.25"), ("other", "12"))),),
}


def text(painting: Painting) -> str:
    return "\n".join(strip.text for strip in painting.strips)


def test_every_mark_is_painted_and_tested():
    assert set(MARKS) == set(get_args(Mark)), "a new mark needs a painter and an example here"
    limits = {"x": Scale(limits=(0, 300)), "y": Scale(limits=(-3, 3))}
    nothing = paint(Chart("", **limits, marks=(Box(-9.0, -8.0),)), 60, 20, Look())
    for kind, marks in MARKS.items():
        for mark in marks:
            painted = paint(Chart("", **limits, marks=(mark,)), 60, 20, Look())
            assert [*map(list, painted.strips)] != [*map(list, nothing.strips)], kind


def test_an_unknown_mark_is_refused():
    with pytest.raises(AssertionError):
        paint(Chart("", marks=("no mark",)), 40, 12, Look())  # type: ignore[arg-type]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(st.sampled_from(sorted(MARKS, key=lambda kind: kind.__name__)), min_size=0, max_size=3),
    width=st.integers(1, 200),
    height=st.integers(1, 60),
    depth=st.sampled_from(Depth),
    ascii=st.booleans(),
    log=st.booleans(),
    reverse=st.booleans(),
    cursor=st.none() | st.builds(Cursor, x=st.floats(-10, 400), row=st.integers(-1, 8), column=st.integers(-1, 400)),
)
@example(kinds=[Line], width=1, height=1, depth=Depth.TRUE, ascii=False, log=True, reverse=False, cursor=Cursor(x=3.0))
@example(kinds=[Heat], width=200, height=60, depth=Depth.NONE, ascii=True, log=False, reverse=True, cursor=None)
def test_any_view_fills_exactly_its_cells(kinds, width, height, depth, ascii, log, reverse, cursor):
    marks = tuple(mark for kind in kinds for mark in MARKS[kind])
    chart = Chart(
        "a title", Scale("step", "s"), Scale("value", "1", log=log, reverse=reverse), marks, "a caption " * 20
    )
    look = Look(depth=depth, ascii=ascii)
    for view in (chart, Plate(((chart, chart), (chart,)), title="plate", heights=(2.0, 1.0), share_x=log)):
        strips = paint(view, width, height, look, cursor=cursor).strips
        assert len(strips) == height
        for strip in strips:
            assert len(strip.text) == width == strip.cell_length
            assert all(isinstance(segment.style, Style) for segment in strip)
            assert strip.text.isprintable()
            if ascii:
                assert strip.text.isascii()


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("depth", Depth)
def test_colours_come_from_the_allowed_depth(kind, depth):
    theme = LIGHT if kind in (Line, Heat) else Look().theme
    strips = paint(
        Chart("title", Scale("x"), Scale("y"), MARKS[kind], "caption"), 70, 24, Look(depth, theme=theme)
    ).strips
    colours = {c for strip in strips for s in strip if s.style for c in (s.style.color, s.style.bgcolor) if c}
    allowed = {
        Depth.TRUE: {ColorType.TRUECOLOR},
        Depth.PALETTE: {ColorType.EIGHT_BIT},
        Depth.ANSI: {ColorType.STANDARD},
        Depth.NONE: set(),
    }
    assert {colour.type for colour in colours} <= allowed[depth]
    if depth in (Depth.TRUE, Depth.PALETTE):
        assert colours


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 999_999), log=st.booleans())
def test_a_spike_of_one_row_in_a_million_reaches_the_top(at, log):
    y = np.full(1_000_000, 1.0)
    y[at] = 1000.0
    painting = paint(
        Chart("", y=Scale(log=log, limits=(0.5, 1000.0)), marks=(Line(np.arange(1e6), y),)), 80, 20, Look()
    )
    field = painting.fields[0]
    assert field is not None
    column = field.column(float(at))
    assert column is not None
    cell = painting.strips[field.top].text[column]
    assert 0x2800 < ord(cell) <= 0x28FF


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 99_999), depth=st.sampled_from(Depth))
def test_one_nan_in_a_hundred_thousand_is_shaded_and_counted(at, depth):
    y = np.ones(100_000)
    clean = paint(Chart("loss", marks=(Line(np.arange(1e5), y),)), 80, 20, Look(depth))
    y[at] = np.nan
    spoilt = paint(Chart("loss", marks=(Line(np.arange(1e5), y),)), 80, 20, Look(depth))
    field = spoilt.fields[0]
    assert field is not None
    column = field.column(float(at))
    assert column is not None
    assert "1 × NaN" in text(spoilt)
    row = field.top
    assert [*clean.strips[row].crop(column, column + 1)] != [*spoilt.strips[row].crop(column, column + 1)]


@pytest.mark.parametrize(
    ("marks", "log", "words"),
    [
        ((), False, "nothing to draw"),
        ((Line(np.array([]), np.array([])),), False, "no data yet"),
        ((Line(T, np.full(300, np.nan)),), False, "all 300 values are NaN"),
        ((Line(T, np.full(300, np.inf)),), True, "all 300 values are NaN or infinite"),
        ((Line(T, -np.ones(300)),), True, "none of 300 values is positive"),
        ((Line(np.array([7.0]), np.array([0.25])),), False, "one value so far: 0.25"),
        ((Line(np.array([7.0]), np.array([np.nan])),), False, "the only value is NaN"),
        ((Heat(np.full((3, 4), np.nan)),), False, "all 12 values are NaN"),
        ((Heat(np.zeros((0, 4))),), False, "no data yet"),
    ],
)
def test_charts_with_little_in_them_say_so(marks, log, words):
    assert words in text(paint(Chart("loss", y=Scale(log=log), marks=marks), 80, 24, Look()))


def test_infinite_values_are_marked_at_the_border_and_counted():
    y = np.ones(100)
    y[0], y[99] = np.inf, -np.inf
    painting = paint(Chart("loss", marks=(Line(np.arange(100.0), y),)), 60, 20, Look())
    field = painting.fields[0]
    assert field is not None
    assert painting.strips[field.top].text[field.left] == "▲"
    assert painting.strips[field.top + field.height - 1].text[field.left + field.width - 1] == "▼"
    assert "2 × ∞" in text(painting)


def test_zero_under_a_logarithm_is_marked_below_and_counted():
    y = np.linspace(1, 2, 100)
    y[50] = 0
    painting = paint(Chart("loss", y=Scale(log=True), marks=(Line(np.arange(100.0), y),)), 60, 20, Look())
    field = painting.fields[0]
    assert field is not None
    assert "▼" in painting.strips[field.top + field.height - 1].text
    assert "1 × ≤ 0" in text(painting)


def test_text_of_a_file_is_never_markup_nor_control():
    name = "block[/b]\x1b[31m\nnext\u200b 漢"
    chart = Chart(
        name, Scale(name), Scale(name, name, names=(name,) * 3), (Line(T, NOISE, name), Text(150, 0, name)), name
    )
    painted = text(paint(chart, 100, 30, Look()))
    assert "block[/b]" in painted
    assert "\x1b" not in painted
    table = Chart("t", marks=(Table((name, "n"), ((name, "1"),)),))
    assert "\x1b" not in text(paint(table, 100, 30, Look()))


@settings(max_examples=60, deadline=None)
@given(
    low=st.floats(-1e6, 1e6),
    span=st.floats(1e-3, 1e6),
    width=st.integers(20, 200),
    log=st.booleans(),
    reverse=st.booleans(),
    part=st.floats(0, 1),
)
def test_cells_and_data_map_back_and_forth(low, span, width, log, reverse, part):
    low = abs(low) + 1e-3 if log else low
    chart = Chart(
        "", Scale(limits=(low, low + span), log=log, reverse=reverse), marks=(Line(np.array([low]), np.ones(1)),)
    )
    field = paint(chart, width, 20, Look()).fields[0]
    assert field is not None
    column = field.left + int(part * (field.width - 1))
    assert field.column(field.x_at(column)) == column
    assert field.inside(column, field.top)
    row = field.top + int(part * (field.height - 1))
    assert field.row(field.y_at(row)) == row


def test_plots_that_share_x_are_aligned():
    wide = Chart(
        "a",
        Scale("step"),
        Scale("tensor", names=("a.very.long.name", "b")),
        (Heat(np.ones((2, 50)), x=np.arange(51.0)),),
    )
    narrow = Chart("b", Scale("step"), marks=(Line(np.arange(200.0), np.arange(200.0)),))
    plate = Plate(((wide,), (narrow,)), share_x=True)
    a, b = paint(plate, 100, 40, Look(), cursor=Cursor(x=20.0)).fields
    assert a is not None
    assert b is not None
    assert (a.left, a.width, a.x.low, a.x.high) == (b.left, b.width, b.x.low, b.x.high)


@pytest.mark.parametrize("height", [24, 33, 38, 44])
def test_plots_of_different_heights_that_share_x_are_aligned(height: int):
    x = np.arange(9.0)
    charts = [Chart("", Scale("step"), Scale("y"), (Line(x, x * top / 8),)) for top in (4.0, 0.15)]
    plate = Plate(tuple((chart,) for chart in charts), heights=(3.0, 2.0), share_x=True)
    above, below = paint(plate, 80, height, Look()).fields
    assert above is not None
    assert below is not None
    assert (above.left, above.width) == (below.left, below.width)


def test_the_cursor_is_a_rule_with_its_place_below():
    chart = Chart("loss", Scale("step"), marks=(Line(T, NOISE),))
    plain, moved = (paint(chart, 80, 24, Look(), cursor=cursor) for cursor in (None, Cursor(x=150.0)))
    field = moved.fields[0]
    assert field is not None
    column = field.column(150.0)
    assert column is not None
    assert sum(strip.text[column] == "│" for strip in moved.strips) > sum(
        strip.text[column] == "│" for strip in plain.strips
    )
    label = [s.text for s in moved.strips[field.top + field.height + 1] if s.style and s.style.reverse]
    assert label == [" 150 "]
    assert text(paint(chart, 80, 24, Look(), cursor=Cursor(x=1e9))) == text(plain)


def test_points_are_drawn_alike_by_both_ways():
    x, y = rng.random(1000), rng.random(1000)
    few = paint(Chart("", marks=(Points(x, y),)), 80, 30, Look())
    twice = paint(Chart("", marks=(Points(np.tile(x, 2), np.tile(y, 2)),)), 80, 30, Look())
    assert text(few) == text(twice)


def test_a_faint_line_behind_does_not_thicken_the_line_before_it():
    t = np.arange(2000.0)
    smooth = Line(t, np.sin(t / 300), "smooth", colour=0)
    raw = Line(t, np.sin(t / 300) + rng.standard_normal(2000) * 0.1, colour=0, faint=True)
    scale = Scale(limits=(-2, 2))
    alone = paint(Chart("", y=scale, marks=(smooth,)), 80, 24, Look())
    both = paint(Chart("", y=scale, marks=(raw, smooth)), 80, 24, Look())
    field = alone.fields[0]
    assert field is not None
    for a, b in zip(alone.strips, both.strips, strict=True):
        for one, other in zip(a.text[field.left :], b.text[field.left :], strict=True):
            assert one == other or not 0x2800 < ord(one) <= 0x28FF


def test_several_lines_without_colours_differ_in_glyphs():
    chart = Chart("", marks=(Line(T, NOISE, "a"), Line(T, NOISE + 10, "b")))
    assert {"**", "++"} <= {
        word for word in text(paint(chart, 80, 24, Look(Depth.NONE))).split() if word in ("**", "++")
    }


def test_the_legend_says_what_the_title_does_not():
    line = Line(T, NOISE, "loss")
    assert "━━" not in text(paint(Chart("loss", marks=(line,)), 80, 24, Look()))
    assert "━━ loss" in text(paint(Chart("train", marks=(line,)), 80, 24, Look()))
    bar = text(paint(Chart("norm", marks=(Heat(np.ones((2, 3)), label="norm"),)), 80, 24, Look()))
    assert "████" in bar
    assert bar.splitlines()[0].count("norm") == 1


def test_a_plate_says_nothing_twice():
    chart = Chart("norm", marks=(Line(T, NOISE),), caption="per tensor.")
    painted = text(paint(Plate(((chart,),), title="norm", caption="per tensor. Every step."), 80, 30, Look()))
    assert painted.count("norm") == painted.count("per tensor.") == 1


def test_positions_on_a_signed_logarithm_read_as_values():
    scale = Scale("weight", limits=(0.0, 6.0), names=("-1", "", "-0.01", "0", "0.01", "", "1"), signed_log=(3, -2))
    chart = Chart("hist", scale, marks=(Bars(np.arange(7.0), np.ones(6)),))
    assert ("bin", "0.1 … 1") in read_out(chart, Cursor(x=5.5))
    painting = paint(chart, 90, 20, Look(), cursor=Cursor(x=4.0))
    field = painting.fields[0]
    assert field is not None
    words = painting.strips[field.top + field.height + 1].text.split()
    assert words == ["-1", "-0.01", "0", "0.01", "1"]


def golden(chart: Chart, width: int, height: int, look: Look) -> list[str]:
    return [line.rstrip() for line in text(paint(chart, width, height, look)).splitlines()]


def test_golden_line():
    chart = Chart(
        "loss", Scale("step"), Scale("loss", "nats"), (Line(np.arange(5.0), np.array([4.0, 2, 1, 0.5, 0.2])),)
    )
    assert golden(chart, 30, 12, Look(Depth.NONE, ascii=True)) == [
        "loss  nats",
        "4+*",
        " | **",
        "3+   *",
        " |    **",
        "2+      **",
        " |        ****",
        "1+            *****",
        " |                 **********",
        " ++------------+------------+",
        "  0            2            4",
        "             step",
    ]


def test_golden_heat():
    scale = Scale("tensor", names=("a.weight", "a.bias"), reverse=True)
    heat = Heat(np.array([[0.0, 1, 2, 3, 4], [4, 3, np.nan, 1, 0]]), label="g")
    assert golden(Chart("norm", Scale("step"), scale, (heat,)), 40, 10, Look(Depth.NONE)) == [
        "norm  tensor   0 ··░░▒▒▓▓██ 4 g  1 × NaN",
        "        │······░░░░░░▒▒▒▒▒▒▓▓▓▓▓▓██████",
        "a.weight┤······░░░░░░▒▒▒▒▒▒▓▓▓▓▓▓██████",
        "        │······░░░░░░▒▒▒▒▒▒▓▓▓▓▓▓██████",
        "        │██████▓▓▓▓▓▓╱╱╱╱╱╱░░░░░░······",
        "  a.bias┤██████▓▓▓▓▓▓╱╱╱╱╱╱░░░░░░······",
        "        │██████▓▓▓▓▓▓╱╱╱╱╱╱░░░░░░······",
        "        └───┬───────────┬───────────┬──",
        "            0           2           4",
        "                      step",
    ]


def test_golden_bars():
    bars = Bars(np.arange(7.0) - 3, np.array([1, 3, 8, 6, 2, 0.1]))
    assert golden(Chart("hist", Scale("w"), Scale("count"), (bars,)), 36, 10, Look(Depth.ANSI)) == [
        "hist  count",
        " │           ▇▇▇▇",
        " │           ████ ▃▃▃▃▃",
        "5┤           ████ █████",
        " │     ▂▂▂▂▂ ████ █████",
        " │     █████ ████ █████ ▄▄▄▄",
        "0┤▆▆▆▆ █████ ████ █████ ████ ▁▁▁▁▁▁",
        " └─────┬──────────┬──────────┬─────",
        "      -2          0          2",
        "                  w",
    ]


def test_words_beside_rules_do_not_overlap_and_repeated_ones_are_said_once():
    rules = tuple(Rule(at, label=label) for at, label in ((10.0, "first phase"), (14.0, "second phase")))
    again = tuple(Rule(float(at), label="skipped") for at in range(40, 60, 4))
    chart = Chart("", Scale("step"), marks=(Line(T[:100], T[:100]), *rules, *again))
    shown = text(paint(chart, 80, 24, Look()))
    assert all(shown.count(words) == 1 for words in ("first phase", "second phase", "skipped"))
    lines = shown.splitlines()
    assert not any("first phase" in line and "second phase" in line for line in lines)


def test_over_a_heat_map_a_rule_is_named_in_the_legend():
    heat = Heat(np.ones((4, 100)), x=np.arange(101.0), y=np.arange(5.0))
    painting = paint(Chart("", Scale("step"), marks=(heat, Rule(50.0, label="fine-tuning"))), 80, 24, Look())
    field = painting.fields[0]
    assert field is not None
    assert "│ fine-tuning" in "\n".join(strip.text for strip in painting.strips[: field.top])
    column = field.column(50.0)
    assert all(painting.strips[field.top + row].text[column] == "│" for row in range(field.height))


def test_infinities_are_counted_as_such_and_of_a_summary_nothing_is():
    bad = Box(99.0, 101.0, label="not finite", role="bad")
    y = np.where((T >= 100) & (T < 103), np.inf, NOISE)
    assert "3 × ∞" in text(paint(Chart("", marks=(Line(T, y), bad)), 80, 24, Look()))
    gaps = np.where(np.isinf(y), np.nan, y)
    shown = text(paint(Chart("", marks=(Band(T, gaps, gaps), Line(T, gaps), bad)), 80, 24, Look()))
    assert "not finite" in shown
    assert "NaN" not in shown


@pytest.mark.parametrize("column", range(0, 60, 7))
def test_the_place_of_the_cursor_leaves_whole_labels_beside_it_or_none(column):
    names = tuple(f"{k}: rotate 0.5, image {k % 3}" for k in range(60))
    chart = Chart("", Scale("sample", names=names), marks=(Heat(np.eye(60)),))
    whole, cut = (
        next(line for line in text(paint(chart, 80, 24, Look(), cursor=at)).splitlines() if "rotate" in line)
        for at in (None, Cursor(row=0, column=column))
    )
    own = f" {names[column]} "
    assert own in cut
    for side in cut.split(own):
        assert side.strip() == "" or side.strip() in whole
    assert len(cut) == len(whole)
    assert "\u00a0" not in whole + cut


def test_where_units_share_a_cell_its_legend_says_that_the_strongest_is_shown():
    def shown(units: int, label: str = "unit", **how) -> str:
        values = np.linspace(-1, 1, units**2).reshape(units, units)
        return text(paint(Chart("", Scale(label), marks=(Heat(values, label="r", **how),)), 80, 24, Look()))

    assert "r, strongest of each cell" in shown(200, diverging=True)
    assert "r, largest of each cell" in shown(200)
    assert "of each cell" not in shown(20, diverging=True)
    assert "of each cell" not in shown(200, "step")
