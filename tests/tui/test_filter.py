"""Filters keep what they say, whatever the names are; natural order counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.filter import FilterError, flat, name_filter, natural_key, settings_filter, wrong_names, wrong_settings

NAMES = ["conv1.weight", "conv1.bias", "layer2.0.weight", "layer10.0.weight", "block[/b]", "block[0]", "FC.weight"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", NAMES),
        ("conv", ["conv1.weight", "conv1.bias"]),
        ("fc", ["FC.weight"]),  # lower case matches either case
        ("Conv", []),  # upper case means what it says
        ("conv !bias", ["conv1.weight"]),
        ("*.weight", ["conv1.weight", "layer2.0.weight", "layer10.0.weight", "FC.weight"]),
        ("layer?.0*", ["layer2.0.weight"]),
        ("/layer\\d\\d/", ["layer10.0.weight"]),
        ("/^conv1\\.(weight|bias)$/", ["conv1.weight", "conv1.bias"]),
        ("!weight", ["conv1.bias", "block[/b]", "block[0]"]),
        ("block[0]", ["block[0]"]),  # brackets are no glob
        ("[/b]", ["block[/b]"]),
        ("!/weight|bias/", ["block[/b]", "block[0]"]),
    ],
)
def test_a_name_filter_keeps(text: str, kept: list[str]) -> None:
    assert [name for name in NAMES if name_filter(text)(name)] == kept


@given(st.text(), st.text())
def test_any_text_is_a_filter_or_says_what_is_wrong(text: str, name: str) -> None:
    if wrong_names(text):
        with pytest.raises(FilterError):
            name_filter(text)
    else:
        assert name_filter(text)(name) in (True, False)


@given(st.lists(st.text(alphabet="abc._[]0123", min_size=1)), st.text(alphabet="abc._0123", min_size=1))
def test_a_word_and_its_negation_share_the_names_out(names: list[str], word: str) -> None:
    kept = [n for n in names if name_filter(word)(n)]
    left = [n for n in names if name_filter(f"!{word}")(n)]
    assert sorted(kept + left) == sorted(names)
    assert all(word.lower() in n.lower() for n in kept)


def test_a_wrong_regex_says_which_word() -> None:
    assert "/(/" in wrong_names("conv /(/")


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.text(alphabet="ab.", max_size=4))
def test_numbers_in_names_sort_by_value(a: int, b: int, prefix: str) -> None:
    assert (natural_key(f"{prefix}{a}.w") < natural_key(f"{prefix}{b}.w")) == (a < b)


@given(st.lists(st.text()))
def test_natural_order_is_total(names: list[str]) -> None:
    assert sorted(sorted(names, reverse=True), key=natural_key) == sorted(names, key=natural_key)


SETTINGS = flat({"lr": 0.02, "optimizer": {"name": "adam", "momentum": 0.9}, "seed": 1, "name": "mlp [/b]"})


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("lr>0.01", True),
        ("lr > 0.01 seed=1", True),
        ("lr>=0.02 lr<=2e-2", True),
        ("lr<0.01", False),
        ("momentum=0.9", True),  # the last part of a dotted name will do
        ("optimizer.name=ADAM", True),
        ("optimizer.name!=sgd", True),
        ("optimizer.name!=adam", False),
        ("optimizer.name>1", False),  # words have no order
        ("missing=1", False),
        ("missing!=1", True),
        ("seed=1.0", True),
        ('name~"mlp [/b]"', True),
        ("name~cnn", False),
    ],
)
def test_a_settings_filter(text: str, fits: bool) -> None:
    assert settings_filter(text)(SETTINGS) is fits


@pytest.mark.parametrize("text", ["lr", "lr>", "=3", "lr>0.1 adam"])
def test_a_settings_filter_that_compares_nothing_says_what_is_expected(text: str) -> None:
    assert "lr>0.01" in wrong_settings(text)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_compare_as_numbers(found: float, limit: float) -> None:
    assert settings_filter(f"lr>{limit!r}")({"lr": found}) == (found > limit)
    assert settings_filter(f"lr<={limit!r}")({"lr": str(found)}) == (found <= limit)
