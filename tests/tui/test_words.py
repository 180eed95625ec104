"""Words fit their columns, say what they mean, and carry no control characters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from recorder.number import size
from tui.charset import to_ascii
from tui.words import BLOCKS, age, aligned, clip, count, duration, fate, fit, number, plain, sparkline


@given(st.text(), st.integers(0, 40), st.booleans())
def test_a_clipped_text_fits(text: str, width: int, middle: bool) -> None:
    clipped = clip(text, width, middle=middle)
    assert cell_len(clipped) <= width
    assert clipped == plain(text) or "…" in clipped or width == 0 or (middle and ("." in clipped or "/" in clipped))


def test_long_names_keep_the_numbers_that_tell_them_apart() -> None:
    names = [f"encoder.layers.{k}.{what}" for k in range(12) for what in ("self_attn.in_proj_bias", "norm2.weight")]
    for width in range(21, 50):
        shown = [clip(name, width, middle=True) for name in names]
        assert len(set(shown)) == len(names)
        assert all(len(text) <= width for text in shown)
    assert clip(names[1], 19, middle=True) == "e.l.0.norm2.weight"
    assert clip("features.denseblock3.denselayer16.conv2.weight", 21, middle=True) == "f.d3.d16.conv2.weight"
    assert clip("runs/2026-11-22/mnist.h5", 22, middle=True) == "r/2026-11-22/mnist.h5"
    assert clip("norm (loss / weight)", 16, middle=True) == "norm … / weight)"


@given(st.text("ab層のé🙂-", max_size=30), st.integers(1, 40), st.booleans())
def test_wide_characters_fill_a_column_like_narrow_ones(text: str, width: int, right: bool) -> None:
    cell = fit(clip(text, width), width, right=right)
    assert cell_len(cell) == width
    assert cell.strip() == clip(text, width).strip()


def test_lines_of_wide_and_narrow_names_stand_below_each_other() -> None:
    lines = aligned([("名前", "1"), ("name", "22"), ("層", "333")], right=(1,))
    assert {cell_len(line) for line in lines} == {9}
    assert [clip("重み" * 9, 10, middle=True), clip("重み" * 9, 10)] == ["重…み重み", "重み重み…"]


@given(st.text())
def test_plain_text_has_no_control_or_direction_characters(text: str) -> None:
    assert len(plain(text)) == len(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E for c in plain(text))


@given(st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf]))
def test_numbers_read_back_to_four_digits(value: float) -> None:
    text = number(value).replace("∞", "inf")
    assert len(text) <= 11
    assert math.isnan(float(text)) if math.isnan(value) else math.isclose(float(text), value, rel_tol=1e-3)


@given(st.integers(0, 10**12))
def test_counts_fit_six_cells_and_keep_their_magnitude(value: int) -> None:
    text = count(value)
    assert len(text) <= 6
    scale = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
    assert math.isclose(float(text.rstrip("kMG")) * scale, value, rel_tol=0.006)


@given(st.integers(0, 10**14))
def test_sizes_fit_seven_cells(value: int) -> None:
    assert len(size(value)) <= 7


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (42, "42 s"), (200, "3 m 20 s"), (18_120, "5 h 02 m"), (273_600, "3 d 04 h"), (-1, "0.0 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(-10, 1e10))
def test_ages_fit_six_cells(seconds: float) -> None:
    assert len(age(seconds)) <= 6


@given(st.lists(st.floats(), max_size=80), st.integers(1, 20))
def test_a_sparkline_fits_and_shows_what_is_not_finite(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    if values:
        assert (line[-1] == "!") == (not math.isfinite(values[-1]))


def test_a_sparkline_rises_with_the_values() -> None:
    assert sparkline(range(8), 8) == BLOCKS


@given(st.text())
def test_ascii_is_ascii_and_at_least_as_wide_as_letters(text: str) -> None:
    assert to_ascii(text).isascii()
    assert to_ascii("✓ done ∞") == "+ done i"


@pytest.mark.parametrize(
    ("state", "last", "said"),
    [
        ("killed", 1234, "killed at step 1,234"),
        ("failed", 0, "failed at step 0"),
        ("killed", -1, "killed before its first step"),
        ("recording", 7, "recording"),
        ("done", 7, "done"),
    ],
)
def test_how_a_run_ended_is_said_with_its_step(state: str, last: int, said: str) -> None:
    assert fate(state, last) == said
