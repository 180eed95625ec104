"""Which step of the training is a checkpoint of, by the name of its file?

The number behind the first of these words that the name has: step, iter, batch, epoch, checkpoint, ckpt; where it has
none of them, the last whole number in it; and where it has no number, the one behind such a word in its folder's name.

    epoch=3-step=1200.ckpt -> 1200        resnet18_epoch_10.pth -> 10        net-0050.pt -> 50
    checkpoint-500/model.safetensors -> 500        val_loss=0.31-epoch=7.ckpt -> 7
"""

from __future__ import annotations

import re
from pathlib import Path

from recorder.errors import RecordError

WORDS = ("step", "iter", "batch", "epoch", "checkpoint", "ckpt")
BEHIND = r"(?:s|ation|ations|es|num|no)?[^0-9A-Za-z]{0,2}(\d+)(?!\d|\.\d)"
WHOLE = re.compile(r"(?<!\d)(?<!\d\.)\d+(?!\d|\.\d)")  # no part of a number with a decimal point
VERSION = re.compile(r"-v\d+$")  # what Lightning puts behind a name that is taken


def step_of(path: Path, pattern: re.Pattern[str] | None = None) -> int | None:
    """The step, or None where there is none; with a pattern its first group (or all of it) in the path as given."""
    if pattern is not None:
        match = pattern.search(path.as_posix())
        text = None if match is None else next((g for g in match.groups() if g is not None), match[0])
        return int(text) if text is not None and text.isdigit() else None
    numbers = WHOLE.findall(_stem(path))
    for name in (_stem(path), path.parent.name)[: 1 if numbers else 2]:
        for word in WORDS:
            if match := re.search(word + BEHIND, name, re.IGNORECASE):
                return int(match[1])
    return int(numbers[-1]) if numbers else None


def epoch_of(path: Path) -> int | None:
    """The number behind the word epoch."""
    match = re.search("epoch" + BEHIND, _stem(path), re.IGNORECASE)
    return int(match[1]) if match else None


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern that the user gave; RecordError where it is none."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise RecordError(
            rf"--step-pattern {pattern!r}: is no regular expression ({error}); the first group is the step: 'ep(\d+)'"
        ) from None


def _stem(path: Path) -> str:
    """The name without what says the form of the file."""
    name = path.name
    for suffix in (".weights.h5", path.suffix):
        name = name.removesuffix(suffix)
    return VERSION.sub("", name)
