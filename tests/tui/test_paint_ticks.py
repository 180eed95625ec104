"""Ticks are round, few and told apart; numbers are short; a painting's depth follows the environment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.paint.ticks import linear, logarithmic, number
from tui.terminal import Depth, ascii_only, detect


@given(low=st.floats(-1e9, 1e9), span=st.floats(1e-6, 1e9), most=st.integers(1, 10))
def test_linear_ticks_lie_inside_are_even_and_differ(low, span, most):
    high = low + span
    ticks = linear(low, high, most)
    at = np.array([tick.at for tick in ticks])
    if span > 1e-6 * abs(low):
        assert 1 <= len(ticks) <= 3 * most + 2
        slack = 1e-6 * span
        assert (at >= low - slack).all()
        assert (at <= high + slack).all()
        if len(at) > 2:
            np.testing.assert_allclose(np.diff(at), np.diff(at)[0], rtol=1e-6)
    assert len({tick.text for tick in ticks}) == len(ticks)


@given(low=st.floats(1e-12, 1e6), factor=st.floats(1.01, 1e15), most=st.integers(1, 10))
def test_logarithmic_ticks_lie_inside_and_differ(low, factor, most):
    high = low * factor
    ticks = logarithmic(low, high, most)
    assert all(low * (1 - 1e-6) <= tick.at <= high * (1 + 1e-6) for tick in ticks)
    assert len({tick.text for tick in ticks}) == len(ticks)
    assert len(ticks) <= 3 * most + 2


@pytest.mark.parametrize(
    ("low", "high", "most", "texts"),
    [
        (0, 1000, 5, ["0", "200", "400", "600", "800", "1000"]),
        (0, 50_000, 5, ["0", "10k", "20k", "30k", "40k", "50k"]),
        (0, 1, 4, ["0", "0.5", "1.0"]),
        (0, 4e-7, 4, ["0", "1e-7", "2e-7", "3e-7", "4e-7"]),
        (0, 1e33, 4, ["0", "0.5e33", "1.0e33"]),
        (0, 3e15, 3, ["0", "1e15", "2e15", "3e15"]),
        (-1, 1, 4, ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        (0, 3, 8, ["0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]),
    ],
)
def test_linear_ticks_read_well(low, high, most, texts):
    assert [tick.text for tick in linear(low, high, most)] == texts


def test_counts_have_whole_ticks():
    assert [tick.text for tick in linear(0, 3, 8, whole=True)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [(1e-6, 1e2, ["1e-6", "1e-4", "0.01", "1", "100"]), (0.9, 60, ["1", "2", "5", "10", "20", "50"])],
)
def test_logarithmic_ticks_are_decades_or_parts_of_one(low, high, texts):
    assert [tick.text for tick in logarithmic(low, high, 6)] == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.25, "-0.25"),
        (1234.5, "1234"),
        (12_345, "12.35k"),
        (3_200_000, "3.2M"),
        (4.2e9, "4.2G"),
        (3.1e-7, "3.1e-7"),
        (float("nan"), "NaN"),
        (float("inf"), "∞"),
        (-float("inf"), "-∞"),
        (1e30, "1e30"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("environment", "flag", "depth"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "auto", Depth.TRUE),
        ({"TERM": "xterm-256color"}, "auto", Depth.PALETTE),
        ({"TERM": "xterm"}, "auto", Depth.ANSI),
        ({}, "auto", Depth.ANSI),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "auto", Depth.NONE),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "auto", Depth.NONE),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "auto", Depth.PALETTE),
        ({"NO_COLOR": "1"}, "256", Depth.PALETTE),
        ({"COLORTERM": "truecolor"}, "none", Depth.NONE),
        ({"TERM": "screen-256color", "COLORTERM": "truecolor"}, "auto", Depth.PALETTE),
        ({"TERM": "screen", "COLORTERM": "truecolor", "STY": "1.pts"}, "auto", Depth.ANSI),
        ({"TERM": "screen-256color", "COLORTERM": "truecolor", "TMUX": "/tmp/s"}, "auto", Depth.TRUE),
    ],
)
def test_the_depth_follows_flag_then_environment(environment, flag, depth):
    assert detect(environment, color=flag) is depth


def test_an_unknown_depth_names_the_choices():
    with pytest.raises(ValueError, match="--color: found 'blue'; expected one of auto, truecolor, 256, 16, none"):
        detect({}, color="blue")


@pytest.mark.parametrize(
    ("environment", "plain"),
    [
        ({"LANG": "C"}, True),
        ({"LANG": "en_GB.UTF-8"}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({"LC_ALL": "C", "LANG": "en_GB.UTF-8"}, True),
        ({}, False),
    ],
)
def test_ascii_follows_the_locale(environment, plain):
    assert ascii_only(environment) is plain
