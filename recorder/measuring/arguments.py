"""What can be said to `layerscope measure`? The same words for the command line and for the process that measures."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

LISTS = ("layers", "steps")
TEXTS = ("model", "data", "checkpoints", "probe", "key", "step_pattern")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the run's file; with --checkpoints, --model and --data also one that is to be made")
    add(
        "names",
        nargs="*",
        default=[],
        metavar="NAME",
        help="an instrument, a preset, or package.module:factory of an instrument",
    )
    add("--list", action="store_true", help="say which instruments can be measured on this run, and what others lack")
    add("--model", metavar="PACKAGE.MODULE:FACTORY", help="makes the model; default: the class that the run recorded")
    add("--data", metavar="PACKAGE.MODULE:FACTORY", help="makes inputs, (inputs, labels) or a recorder.Probe; default: "
        "the probe that the run keeps")  # fmt: skip
    add("--checkpoints", metavar="GLOB", help="files of weights, 'out/*.pth'; default: those of the run")
    add("--steps", nargs="+", metavar="STEP", help="of which checkpoints: 500 1000:5000 last; default: all")
    add("--layers", nargs="+", metavar="LAYER", help="names, globs or classes (Conv2d) of the layers "
        "that are probed; default: the run's")  # fmt: skip
    add("--probe", metavar="NAME", help="the probe that is looked at, by name; a name of its own for other data")
    add("--key", metavar="KEY", help="where in a file the weights are, such as ema; default: where they are as a rule")
    add("--step-pattern", metavar="REGEX", help="its first group is the step in a file's name: 'ep(\\d+)'; default: "
        "the number behind step, iter, batch, epoch, checkpoint or ckpt, otherwise the last one")  # fmt: skip


def words(asked: argparse.Namespace) -> Iterator[str]:
    """What was said, to be said again."""
    for name in TEXTS:
        if (value := getattr(asked, name)) is not None:
            yield f"--{name.replace('_', '-')}={value}"
    if asked.list:
        yield "--list"
    for name in LISTS:
        if values := getattr(asked, name):
            yield f"--{name}"
            yield from values
    yield "--"
    yield asked.run
    yield from asked.names
