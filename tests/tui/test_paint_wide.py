"""Wide characters in names, titles and captions: shown as they are, and every row keeps its width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from recorder.chart import Chart, Heat, Line, Plate, Rule, Scale, Table
from tui.paint.canvas import Canvas, printable
from tui.terminal import Cursor, Depth, Look, paint

NAME = st.text(st.sampled_from("重み層損失🦜é한x. _"), min_size=1, max_size=30)


def rows(canvas: Canvas) -> list[str]:
    return ["".join(segment.text for segment in strip) for strip in canvas.strips()]


@given(NAME, NAME, NAME, st.integers(1, 90), st.integers(1, 20), st.sampled_from(list(Depth)), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_row_is_as_wide_as_the_window(
    title: str, name: str, label: str, width: int, height: int, depth: Depth, ascii_only: bool
) -> None:
    x = np.arange(20.0)
    heat = Chart(title, Scale(label), Scale(label, names=(name, title)), (Heat(np.eye(2, 20)),), f"{name} {title}")
    curve = Chart(title, Scale(label), Scale(name), (Line(x, x, name), Line(x, -x, title), Rule(9, "x", label)), name)
    table = Chart(title, marks=(Table((name, label), ((title, name), (label, "1")), row=0),))
    for view in (heat, curve, table, Plate(((heat,), (curve,)), title)):
        painted = paint(view, width, height, Look(depth, ascii=ascii_only), cursor=Cursor(x=7.0, row=1))
        shown = ["".join(segment.text for segment in strip) for strip in painted.strips]
        assert {cell_len(row) for row in shown} == {width}
        assert not ascii_only or all(row.isascii() for row in shown)


def test_a_wide_name_is_shown_as_it_is() -> None:
    x = np.arange(20.0)
    shown = paint(Chart("損失の経過", Scale("ステップ"), marks=(Line(x, x),)), 60, 15, Look(Depth.PALETTE)).strips
    text = "\n".join("".join(segment.text for segment in strip) for strip in shown)
    assert "損失の経過" in text
    assert "ステップ" in text


@pytest.mark.parametrize(("at", "expected"), [(0, "x 二 "), (1, "□x二 "), (2, "一x  "), (3, "一□x ")])
def test_of_a_wide_character_that_is_written_over_no_half_is_left(at: int, expected: str) -> None:
    canvas = Canvas(5, 1, Look(Depth.TRUE))
    canvas.write(0, 0, "一二", "")
    canvas.write(at, 0, "x", "")
    assert rows(canvas) == [expected]


@given(st.text(max_size=20))
def test_printable_has_a_character_for_each_cell(text: str) -> None:
    once = printable(text)
    assert len(once) == cell_len(once)
    assert printable(once) == once
