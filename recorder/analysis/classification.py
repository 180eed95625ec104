"""How good are the answers of a classifier: accuracy, and precision, recall and F1 as means over the classes?

Of class c, with TP samples of c that were answered c, FP others that were answered c, and FN of c that were not:

    precision TP / (TP + FP)        recall TP / (TP + FN)        F1 2 TP / (2 TP + FP + FN)

The macro mean is over every class that is a label or an answer at least once; 0/0 counts as 0. Both as scikit-learn's
`precision_recall_fscore_support(average="macro", zero_division=0)` has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder.errors import LayerscopeError


def classification(labels: Any, answers: Any, *, prefix: str = "") -> dict[str, float]:
    """Scalars for `run.epoch(**classification(labels, answers, prefix="val_"))`: accuracy, precision, recall, f1.

    Args:
        labels: (sample,) whole numbers, the true classes; an array or tensor, on any device.
        answers: (sample,) whole numbers, or (sample, class) logits or probabilities, of which the largest is taken.
        prefix: before each of the four names.

    Raises:
        LayerscopeError: the two are not of these shapes, or there is no sample.
    """
    true, found = _on_host(labels), _on_host(answers)
    if true.ndim == 2 and true.shape[1] == 1:  # as Keras's data sets have them
        true = true[:, 0]
    if found.ndim == 2:
        found = found.argmax(axis=1) if found.shape[1] > 1 else found[:, 0]
    whole = all(a.dtype.kind in "iub" for a in (true, found))
    if true.ndim != 1 or true.shape != found.shape or not true.size or not whole:
        raise LayerscopeError(
            "classification: expected labels (sample,) and answers (sample,) as whole numbers, or answers "
            f"(sample, class), got {_said(labels)} and {_said(answers)}"
        )
    classes, places = np.unique(np.concatenate([true, found]), return_inverse=True)
    n = len(classes)
    table = np.bincount(places[: true.size] * n + places[true.size :], minlength=n * n).reshape(n, n)
    hits, of_class, answered = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    means = {
        "accuracy": hits.sum() / true.size,
        "precision": np.mean(hits / np.maximum(answered, 1)),
        "recall": np.mean(hits / np.maximum(of_class, 1)),
        "f1": np.mean(2 * hits / (of_class + answered)),
    }
    return {prefix + name: float(value) for name, value in means.items()}


def _on_host(given: Any) -> np.ndarray:
    """An array; a tensor of torch comes from its device and out of its graph."""
    for step in ("detach", "cpu"):
        given = getattr(given, step, lambda given=given: given)()
    return np.asarray(given)


def _said(given: Any) -> str:
    array = _on_host(given)
    return f"{array.dtype} {array.shape}"
