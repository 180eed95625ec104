"""The four scalars of a classifier are scikit-learn's, whatever library the answers come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from recorder import classification
from recorder.errors import LayerscopeError

pairs = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-3, 6), min_size=n, max_size=n) for _ in range(2)))
)


@given(pairs)
def test_they_are_those_of_scikit_learn(pair):
    labels, answers = pair
    found = classification(labels, answers)
    expected = precision_recall_fscore_support(labels, answers, average="macro", zero_division=0)[:3]
    assert list(found) == ["accuracy", "precision", "recall", "f1"]
    np.testing.assert_allclose(list(found.values()), [accuracy_score(labels, answers), *expected], rtol=1e-6)


def test_by_hand():
    """Class 0: 2 of 3 answers right, 2 of 2 found; class 1: 1 of 1 and 1 of 2."""
    found = classification([0, 0, 1, 1], [0, 0, 0, 1], prefix="val_")
    assert found == pytest.approx(
        {"val_accuracy": 3 / 4, "val_precision": (2 / 3 + 1) / 2, "val_recall": 3 / 4, "val_f1": (4 / 5 + 2 / 3) / 2}
    )


def test_scores_answer_with_their_largest():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 5, 200), rng.standard_normal((200, 5))
    expected = classification(labels, scores.argmax(axis=1))
    assert classification(labels[:, None], scores) == expected
    graph = torch.tensor(scores, requires_grad=True)
    assert classification(torch.from_numpy(labels), graph) == expected


@pytest.mark.parametrize(
    ("labels", "answers", "got"),
    [
        ([0, 1], [0, 1, 1], r"int64 \(2,\) and int64 \(3,\)"),
        ([], [], r"float64 \(0,\)"),
        ([0, 1], [0.2, 0.7], r"float64 \(2,\)"),
        ([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]], r"int64 \(2, 2\)"),
    ],
)
def test_other_shapes_are_refused(labels, answers, got):
    with pytest.raises(LayerscopeError, match=rf"expected labels \(sample,\) and answers .* got .*{got}"):
        classification(labels, answers)
