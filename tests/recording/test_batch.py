"""Whatever names the samples of a batch is kept as it was, and told as text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import RecordError
from recorder.recording.batch import BYTES, MOST, Batch


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (17, "17"),
        (np.int64(-3), "-3"),
        ("epoch 3, shard 7", "epoch 3, shard 7"),
        (b"caf\xc3\xa9", "café"),
        (Path("a/b.png"), "a/b.png"),
        ([3, 1, 2], "3 1 2"),
        (range(3), "0 1 2"),
        (("cat.png", "dog.png"), "cat.png, dog.png"),
        (np.array([[1, 2], [3, 4]], np.uint8), "1 2 3 4"),
        (np.array(["a", "b"]), "a, b"),
        (torch.arange(3), "0 1 2"),
        (torch.tensor(5), "5"),
        ([torch.tensor(5), torch.tensor(6)], "5 6"),
        ([], ""),
        ([os.fsdecode(b"caf\xe9.png")], "caf\\udce9.png"),
        ("é" * BYTES, "é" * 2039 + "…"),
        (["a" * BYTES, "b"], "a" * 4078 + "… … and 1 more"),
    ],
)
def test_what_names_samples_is_told(given, text):
    assert Batch.of(given).text == text


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (torch.zeros(8, 3), r"torch.float32 of shape \(8, 3\)"),
        (np.zeros(3), r"float64 of shape \(3,\)"),
        ([0.5], "list of float"),
        ((torch.zeros(8, 3, dtype=torch.int64), 1), "tuple of Tensor"),
        ({"ids": 1}, "dict"),
        (iter([1]), "list_iterator"),
        (1.5, "float"),
    ],
)
def test_what_does_not_is_refused(given, found):
    with pytest.raises(RecordError, match=f"batch: expected what identifies its samples, .*; got {found}"):
        Batch.of(given)


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_a_loop_that_uses_its_array_again_changes_nothing(make):
    ids = make([1, 2, 3])
    batch = Batch.of(ids)
    ids[:2] = make([8, 9])
    assert batch.text == "1 2 3"


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30), max_size=400))
def test_a_text_is_whole_or_says_how_many_are_left_out(names):
    text = Batch.of(names).text
    assert len(text.encode()) <= BYTES
    if text != ", ".join(names) and text != " ".join(names):
        left = int(text.rpartition(" … and ")[2].removesuffix(" more").replace(",", ""))
        assert 0 < left <= len(names)
        start = ", ".join(names[: len(names) - left])
        assert text.startswith(start)
        room = BYTES - len(f" … and {len(names):,} more".encode())
        assert len(", ".join(names[: len(names) - left + 1]).encode()) + 2 > room  # the next one did not fit


def test_a_large_batch_is_cut_before_it_is_kept():
    batch = Batch.of(torch.arange(1_000_000))
    assert len(batch.ids) == MOST
    assert batch.ids.untyped_storage().nbytes() == MOST * 8
    shown, _, left = batch.text.rpartition(" … and ")
    listed = [int(word) for word in shown.split()]
    assert listed == list(range(len(listed)))
    assert left == f"{1_000_000 - len(listed):,} more"
    assert BYTES - 40 < len(batch.text) <= BYTES
