"""Every mark becomes ink, text stays text, the user's settings win, and the same view gives the same bytes."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text as Label

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
    plate,
)
from recorder.charting.transform import log_y, smoothed
from recorder.entries import chart_of, entries
from recorder.errors import ExportError
from recorder.view import At, Window
from tests.charting.kinds import run_of_kinds
from tests.fakes import fake_run
from tui.paper import draw, figure, image
from tui.paper.axes import _thousands
from tui.paper.marks import colour_scale
from tui.paper.style import PALETTE, PRESETS

X = np.arange(4.0)
MARKS: tuple[Mark, ...] = (
    Line(X, X, "line", 0),
    Band(X, X - 1, X + 1, "band", 1),
    Bars(np.arange(5.0), X + 1, "bars", 2),
    Points(X, X, "points", 3),
    Heat(np.arange(16.0).reshape(4, 4)),
    Picture(np.linspace(0, 1, 16).reshape(4, 4)),
    Rule(1.5, label="rule"),
    Box(1, 2, label="box"),
    Edges(X, X, X + 1, X, X - 1, "edges"),
    Text(1, 1, "text"),
    Table(("name", "value"), (("a", "1"), ("b", "2"))),
)


def texts(sheet: Figure) -> list[str]:
    """What can be read in the figure."""
    return [t.get_text() for t in sheet.findobj(Label) if t.get_text()]


def ink(view, *, dpi: float = 60, **options) -> np.ndarray:
    """The pixels of the figure."""
    from io import BytesIO

    from matplotlib.image import imread

    return imread(BytesIO(image(view, "png", dpi=dpi, **options)))[:, :, :3]


def test_the_examples_are_all_the_marks_there_are() -> None:
    assert {type(m) for m in MARKS} == set(get_args(Mark))


@pytest.mark.parametrize("mark", MARKS, ids=lambda m: type(m).__name__)
def test_every_mark_leaves_ink(mark: Mark) -> None:
    frame = (Line(np.array([-2.0, 6.0]), np.array([-2.0, 6.0]), faint=True, colour=0),)
    empty = ink(Chart("chart", Scale("x"), Scale("y"), frame))
    drawn = ink(Chart("chart", Scale("x"), Scale("y"), (*frame, mark)))
    assert drawn.shape != empty.shape or (drawn != empty).any()


@pytest.mark.parametrize("name", [e.name for e in entries(run_of_kinds())])
def test_every_kind_is_drawn_at_each_preset(name: str) -> None:
    view = chart_of(run_of_kinds(), name)
    for preset in ("single", "slide"):
        sheet, size = figure(view, preset=preset), PRESETS[preset]
        assert sheet.get_size_inches()[0] == size.width
        assert sheet.get_size_inches()[1] <= size.tallest + 1e-9


@pytest.mark.parametrize("format", ["pdf", "svg", "png"])
def test_the_same_view_gives_the_same_bytes(format) -> None:
    view = chart_of(fake_run(), "gradient_norm")
    assert image(view, format) == image(chart_of(fake_run(), "gradient_norm"), format)


def test_another_process_gives_the_same_bytes() -> None:
    program = (
        "import sys; from tests.fakes import fake_run; from recorder.entries import chart_of;"
        "from tui.paper import image;"
        "sys.stdout.buffer.write(image(chart_of(fake_run(), 'loss'), 'svg'))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2]
    )
    assert other.stdout == image(chart_of(fake_run(), "loss"), "svg")


def test_pyplot_is_never_imported() -> None:
    program = (
        "import sys; from tests.fakes import fake_run; from recorder.entries import chart_of;"
        "from tui.paper import image;"
        "image(chart_of(fake_run(), 'gradient_norm'), 'pdf'); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_a_pdf_holds_whole_truetype_fonts_and_no_date() -> None:
    pdf = image(chart_of(fake_run(steps=50), "loss"), "pdf")
    assert b"CreationDate" not in pdf
    assert b"/TrueType" in pdf or b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf


NASTY = [
    "$x_1$",
    "a$b",
    "block[/b]",
    "\x1b[31mred",
    "tab\there",
    "a\nb",
    "<svg>&amp;",
    "日本語",
    "\\alpha",
    "a\x00b",
    "{}%s",
    "‮abc",
]


@pytest.mark.parametrize("format", ["pdf", "svg", "png"])
def test_names_are_shown_as_written_and_never_run(format) -> None:
    n = len(NASTY)
    nasty = "".join(NASTY)
    chart = Chart(
        nasty,
        Scale(nasty, nasty),
        Scale("y", names=tuple(NASTY)),
        (Heat(np.arange(2.0 * n).reshape(n, 2), label=nasty), *(Rule(k, "y", name) for k, name in enumerate(NASTY))),
        nasty,
    )
    assert image(chart, format)
    shown = texts(figure(chart))
    assert not any(ord(c) < 32 for text in shown for c in text.replace("\n", " "))
    for name in NASTY:
        if name.isprintable():
            assert name.replace("$", r"\$") in shown  # an escaped dollar is drawn as a dollar


def test_a_dollar_is_drawn_as_a_dollar() -> None:
    sheet = figure(Chart("cost $x$ of $y$", Scale("x"), Scale("y"), (Line(X, X),)))
    (title,) = (t for t in sheet.findobj(Label) if "cost" in t.get_text())
    assert title._preprocess_math(title.get_text()) == ("cost $x$ of $y$", False)


def test_latex_is_told_to_write_what_is_meant() -> None:
    from tui.paper.text import literal

    with matplotlib.rc_context({"text.usetex": True}):
        assert literal(r"a_b & 50% \x") == r"a\_b \& 50\% \textbackslash{}x"


def test_only_a_title_that_says_something_new_is_drawn() -> None:
    assert "loss" in texts(figure(chart_of(fake_run(), "loss")))
    assert texts(figure(chart_of(fake_run(), "loss"))).count("loss") == 1


def test_a_single_curve_needs_no_legend_and_several_do() -> None:
    run = fake_run()
    one = chart_of(run, "loss")
    assert figure(one).axes[0].get_legend() is None
    both = Chart("both", marks=tuple(Line(np.arange(9.0), np.arange(9.0) + k, name) for k, name in enumerate("ab")))
    legend = figure(smoothed(both, 0.9)).axes[0].get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["a", "b"]  # the faint raw lines are not explained again


def test_a_legend_of_many_says_how_many_are_left_out() -> None:
    chart = Chart("many", marks=tuple(Line(np.arange(9.0), np.arange(9.0) + k, f"run {k}") for k in range(30)))
    assert "and 10 more" in texts(figure(chart))


def test_an_infinite_value_is_marked_at_the_border_and_a_lonely_one_is_a_dot() -> None:
    y = np.array([1.0, np.nan, 3.0, np.nan, np.inf, 10.0, 20.0])
    sheet = figure(log_y(Chart("t", Scale("step"), Scale("y"), (Line(np.arange(7.0), y, "y"),))))
    ax = sheet.axes[0]
    assert ax.get_yscale() == "log"
    assert "infinite" in texts(sheet)
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert [x for line in dots for x in line.get_xdata()] == [0, 2]


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [np.inf], [-1.0, 0.0]])
def test_nothing_to_draw_is_said_and_a_log_without_a_positive_value_is_none(values: list[float]) -> None:
    y = np.array(values)
    sheet = figure(log_y(Chart("t", Scale("step"), Scale("y"), (Line(np.arange(len(y), dtype=float), y),))))
    assert ("nothing to draw" in texts(sheet)) == (not np.isfinite(y).any())
    assert sheet.axes[0].get_yscale() == "linear"


def test_a_heat_map_shows_nan_as_empty_and_zero_under_log_as_the_lowest_colour() -> None:
    heat = Heat(np.array([[np.nan, 0.0, 1.0, 1000.0]]), log=True, limits=(1.0, 1000.0))
    mesh = figure(Chart("t", marks=(heat,))).axes[0].collections[0]
    shown = mesh.get_array().ravel()
    assert np.ma.is_masked(shown[0])
    assert list(shown[1:]) == [1, 1, 1000]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=9), st.booleans(), st.booleans())
def test_colours_always_have_a_lower_and_a_higher_end(values: list[float], log: bool, diverging: bool) -> None:
    scale = colour_scale(Heat(np.array([values]), log=log, diverging=diverging))
    assert np.isfinite([scale.vmin, scale.vmax]).all()
    assert scale.vmin < scale.vmax


def test_panels_that_share_x_stand_above_each_other() -> None:
    view = chart_of(fake_run(), "gradient_norm")
    assert isinstance(view, Plate)
    sheet = figure(view, preset="single")
    sheet.draw_without_rendering()
    above, below = (ax for ax in sheet.axes if ax.get_xlabel() or ax.get_ylabel() == "tensor")
    assert above.get_xlim() == below.get_xlim()
    np.testing.assert_allclose(above.get_position().intervalx, below.get_position().intervalx)


def test_the_lowest_of_panels_that_share_x_names_the_stretches() -> None:
    x = Scale("parameter", parts=((0, 60, "conv.weight"), (60, 100, "output.weight")))
    charts = [Chart("", x, Scale(y), (Line(np.arange(100.0), np.arange(100.0)),)) for y in ("signs", "share")]
    sheet = figure(Plate(tuple((chart,) for chart in charts), share_x=True), preset="double")
    sheet.draw_without_rendering()
    names = [[label.get_text() for label in ax.get_xticklabels() if label.get_visible()] for ax in sheet.axes]
    assert names == [[], ["conv.weight", "output.weight"]]


def test_letters_stand_at_each_panel() -> None:
    panels = [chart_of(fake_run(steps=20), "loss")] * 3
    assert [t for t in texts(figure(plate(panels), letters=True)) if t in "abc"] == ["a", "b", "c"]


LONG = tuple(f"features.denseblock{k // 16}.denselayer{k % 16}.conv{1 + k % 2}.weight" for k in range(200))


@pytest.mark.parametrize("count", [1, 14, 60, 200])
@pytest.mark.parametrize("preset", ["single", "double", "slide"])
def test_row_names_neither_overlap_nor_leave_the_page(count: int, preset) -> None:
    rng = np.random.default_rng(0)
    heat = Heat(rng.random((count, 20)), y=np.arange(count + 1) - 0.5, label="gradient norm")
    chart = Chart("gradient norm", Scale("step"), Scale("tensor", names=LONG[:count], reverse=True), (heat,))
    sheet = figure(chart, preset=preset)
    sheet.draw_without_rendering()
    ax = sheet.axes[0]
    boxes = sorted((t.get_window_extent() for t in ax.get_yticklabels()), key=lambda b: b.y0)
    assert boxes
    assert all(b.x0 >= 0 for b in boxes)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    assert ax.get_window_extent().width > 0.25 * sheet.bbox.width


def test_a_thousand_rows_leave_room_for_the_curve_below() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"layer{k}.weight" for k in range(1000))
    heat = Chart(
        "all", Scale("step"), Scale("tensor", names=names), (Heat(rng.random((1000, 3)), y=np.arange(1001) - 0.5),)
    )
    curve = Chart("one", Scale("step"), Scale("y"), (Line(X, X, "one"),))
    sheet = figure(Plate(((heat,), (curve,)), heights=(3, 2)), preset="single")
    below = next(ax for ax in sheet.axes if ax.get_ylabel() == "y")
    assert below.get_position().height * sheet.get_size_inches()[1] > 0.7


def test_ticks_of_a_signed_logarithm_never_overlap_and_keep_zero() -> None:
    sheet = figure(chart_of(fake_run(), "weight_histogram"), preset="single")
    sheet.draw_without_rendering()
    ax = next(ax for ax in sheet.axes if ax.get_xlabel() == "value")
    labels = [t for t in ax.get_xticklabels() if t.get_text()]
    boxes = [t.get_window_extent() for t in labels]
    assert "$0$" in [t.get_text() for t in labels]
    assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))


def test_nothing_is_clipped_at_the_edges_of_the_page() -> None:
    for name in ("loss", "gradient_norm"):
        for preset in ("single", "slide"):
            pixels = ink(chart_of(fake_run(), name), preset=preset, dpi=100)
            border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
            assert (border == 1).all(), (name, preset)


def test_a_users_style_wins_and_the_rest_stays_ours(tmp_path: Path) -> None:
    style = tmp_path / "mine.mplstyle"
    style.write_text("axes.prop_cycle: cycler('color', ['ff0000'])\nfont.size: 11\n")
    view = chart_of(fake_run(steps=20), "loss")
    assert to_rgba(figure(view, style=style).axes[0].lines[0].get_color()) == to_rgba("#ff0000")
    assert to_rgba(figure(view).axes[0].lines[0].get_color()) == to_rgba(PALETTE[0])
    assert not figure(view, style=style).axes[0].spines["top"].get_visible()
    assert figure(view, style="ggplot").axes[0].get_facecolor() == to_rgba("#E5E5E5")


def test_what_the_users_session_set_wins_over_ours_and_is_left_as_it_was() -> None:
    view = chart_of(fake_run(steps=20), "loss")
    with matplotlib.rc_context({"lines.linewidth": 4.0, "figure.figsize": (5.0, 5.0)}):
        before = {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}
        assert figure(view).axes[0].lines[0].get_linewidth() == 4.0
        assert tuple(figure(view).get_size_inches()) == (5.0, 5.0)
        assert figure(view, preset="double").get_size_inches()[0] == 7.2
        assert all(matplotlib.rcParams[key] == value for key, value in before.items())


def test_a_style_or_preset_or_format_that_is_not_there_is_said_clearly(tmp_path: Path) -> None:
    view = chart_of(fake_run(steps=5), "loss")
    with pytest.raises(ExportError, match="no style 'nowhere"):
        figure(view, style="nowhere.mplstyle")
    with pytest.raises(ExportError, match="choose one of single, double, slide"):
        figure(view, preset="triple")
    with pytest.raises(ExportError, match="choose one of pdf, svg, png"):
        image(view, "jpeg")
    broken = tmp_path / "broken.mplstyle"
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExportError, match="cannot be read"):
        figure(view, style=broken)


def test_a_chart_draws_into_axes_of_the_users() -> None:
    ax = Figure().subplots()
    draw(chart_of(fake_run(), "loss"), ax)
    assert ax.get_xlabel() == "step"
    assert len(ax.lines) == 1


def test_the_colour_map_can_be_chosen() -> None:
    chart = Chart("t", marks=(Heat(np.arange(4.0).reshape(2, 2)),))
    assert figure(chart, colours="magma").axes[0].collections[0].get_cmap().name == "magma"
    diverging = replace(chart, marks=(Heat(np.arange(4.0).reshape(2, 2) - 1, diverging=True),))
    mesh = figure(diverging).axes[0].collections[0]
    assert mesh.norm.vmin == -mesh.norm.vmax


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (9000, "9000"), (10_000, "10k"), (1.5e6, "1.5M"), (-2e4, "-20k")]
)
def test_counted_ticks_are_short(value: float, text: str) -> None:
    assert _thousands(value) == text


@settings(max_examples=15)
@given(
    st.integers(0, 40),
    st.sampled_from(["loss", "gradient_norm", "weight_histogram"]),
    st.sampled_from(["step", "epoch", "time"]),
)
def test_short_runs_are_drawn_whatever_their_length(steps: int, name: str, x) -> None:
    run = fake_run(steps=steps, tensors=2)
    if steps or name == "loss":
        assert figure(chart_of(run, name, At(), Window(points=10, x=x))).axes


def test_compressed_text_of_a_pdf_is_text() -> None:
    """Words can be searched and edited in the PDF: it holds glyphs of a font and no outlines."""
    pdf = image(chart_of(fake_run(steps=20), "loss"), "pdf")
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, flags=re.DOTALL)
    pages = []
    for stream in streams:
        try:
            pages.append(zlib.decompress(stream))
        except zlib.error:
            continue
    assert any(b"BT" in page and (b"Tj" in page or b"TJ" in page) for page in pages)


def test_words_along_rules_stand_apart_and_are_said_once() -> None:
    rules = tuple(
        Rule(at, label=label)
        for at, label in ((1.0, "warm-up"), (0.999, "other"), (1.0005, "no room"), (2.0, "skipped"))
    )
    chart = Chart("", Scale("step", limits=(0, 3)), marks=(Line(X, X), *rules, Rule(2.2, label="skipped"), Rule(1.0)))
    sheet = figure(chart)
    sheet.draw_without_rendering()
    words = [t for t in sheet.findobj(Label) if t.get_text() in ("warm-up", "other", "no room", "skipped")]
    assert sorted(t.get_text() for t in words) == ["other", "skipped", "warm-up"]
    boxes = [t.get_window_extent() for t in words]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    over_cells = figure(Chart("", Scale("step"), marks=(Heat(np.ones((2, 2))), Rule(1.0, label="warm-up"))))
    assert over_cells.axes[0].get_legend().get_texts()[0].get_text() == "warm-up"


def test_the_ends_of_a_curve_stand_within_the_frame() -> None:
    chart = Chart("", Scale("step", limits=(0, 3)), Scale("y", limits=(0, 3)), (Line(X, X),))
    ax = figure(chart).axes[0]
    lo, hi = ax.get_xlim()
    assert lo < 0 < 3 < hi < 3.3
    assert ax.get_ylim() == (0, 3)
    heat = Chart("", Scale("step", limits=(0, 3)), marks=(Heat(np.ones((2, 3)), x=X),))
    assert figure(heat).axes[0].get_xlim() == (0, 3)


def test_long_text_in_a_table_goes_on_below_and_none_of_it_is_left_out() -> None:
    long = "health: exploding in encoder.layers.11.attention.output.dense.weight, gradient norm 2140, limit 1000"
    word = "encoder.layers." * 7
    drawn = figure(Chart("events", marks=(Table(("step", "what"), (("12", long), ("13", word), ("14", "end"))),)))
    texts = {text.get_text(): text for text in drawn.axes[0].texts}
    shown = {"".join(text.split()) for text in texts}
    assert {"".join(long.split()), word, "12", "what"} <= shown
    boxes = [text.get_window_extent() for text in texts.values() if text.get_text().strip()]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_a_band_that_begins_at_zero_reaches_the_bottom_of_a_logarithm():
    x, lo, hi = np.arange(3.0), np.array([0.1, 0.0, 0.3]), np.array([1.0, 2.0, 3.0])
    ax = Figure().add_subplot()
    draw(Chart("", Scale("step"), Scale("share", log=True), (Band(x, lo, hi), Line(x, hi))), ax)
    (area,) = ax.collections
    corners = area.get_paths()[0].vertices
    assert corners[corners[:, 0] == 1, 1].min() == 0.1
    assert 0.01 < ax.get_ylim()[0] <= 0.1


def test_there_are_no_halves_of_epochs():
    ax = Figure(figsize=(4, 3)).add_subplot()
    draw(Chart("", Scale("epoch"), Scale("loss"), (Line(np.arange(1.0, 11.0), np.arange(10.0)),)), ax)
    assert all(tick == round(tick) for tick in ax.get_xticks())


@pytest.mark.parametrize("named", ["names", "parts"])
def test_names_of_a_matrix_stay_apart_however_many_and_long_they_are(named):
    layers = tuple(f"layer{k}.downsample.{k % 2}" for k in range(60))
    parts = tuple((float(k), float(k + 1), name) for k, name in enumerate(layers))
    scale = Scale("layer", names=layers) if named == "names" else Scale("layer", parts=parts)
    chart = Chart("", scale, replace(scale, reverse=True), (Heat(np.eye(60)),))
    sheet = figure(Plate(((chart,), (Chart("", marks=(Line(X, X),)),)), heights=(3.0, 2.0)), preset="single")
    sheet.draw_without_rendering()
    for axis, side in ((sheet.axes[0].xaxis, 0), (sheet.axes[0].yaxis, 1)):
        boxes = [np.array(label.get_window_extent())[:, side] for label in axis.get_ticklabels()]
        assert len(boxes) > 4
        assert all(low[1] <= high[0] + 1 for low, high in pairwise(sorted(boxes, key=lambda box: box[0])))


def test_the_units_of_a_layer_are_counted_in_whole_numbers():
    sheet = figure(Chart("", Scale("unit of output"), marks=(Bars(np.arange(11) - 0.5, np.arange(10.0)),)))
    assert all(float(at).is_integer() for at in sheet.axes[0].get_xticks())
