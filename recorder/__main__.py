"""What needs a framework runs here, in a process of its own: `python -m recorder demo | measure ...`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from recorder.errors import LayerscopeError
from recorder.measuring.arguments import arguments as of_measure

NEEDS = {  # recipe -> framework, extras that install what it trains with and on
    "mnist_mlp": ("PyTorch", "torch"),
    "photo_cnn": ("Keras on TensorFlow", "keras,photos"),
}
FRAMEWORKS = ("torch", "keras", "tensorflow")  # as modules
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}
SAME = {"TF_ENABLE_ONEDNN_OPTS": "0"}  # the same numbers at every run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. The last line of a demo's output is the path of its run."""
    parser = argparse.ArgumentParser(prog="python -m recorder", description="What layerscope needs a framework for.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train a small network and record it")
    demo.add_argument("recipe", nargs="?", choices=tuple(NEEDS), default="mnist_mlp")
    demo.add_argument("--path", default="runs/", help="the run's file, or a folder (default: runs/)")
    demo.add_argument("--data", help="mnist_mlp: digits, torchvision; photo_cnn: photos, cifar10; default: the first")
    demo.add_argument("--epochs", type=int, help="default: the recipe's own")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--tensorboard", help="a folder for TensorBoard, which gets the scalars as well")
    measure = commands.add_parser("measure", help="measure instruments at the checkpoints of a training that is over")
    of_measure(measure)
    asked = parser.parse_args(arguments)
    for name, value in (QUIET | (SAME if asked.command == "demo" else {})).items():
        os.environ.setdefault(name, value)
    try:
        status = _measure(asked) if asked.command == "measure" else _demo(asked)
        sys.stdout.flush()
    except LayerscopeError as problem:
        print(f"layerscope: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _measure(asked: argparse.Namespace) -> int:
    from recorder.measuring.command import run

    return run(asked)


def _demo(asked: argparse.Namespace) -> int:
    try:
        recipe = importlib.import_module(f"recorder.recipes.{asked.recipe}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in FRAMEWORKS:
            raise
        framework, extras = NEEDS[asked.recipe]
        raise LayerscopeError(
            f"{asked.recipe} trains with {framework}, which is not installed here: pip install 'layerscope[{extras}]'"
        ) from None
    path = asked.path
    names = ("data", "epochs", "seed", "tensorboard")
    options = {name: value for name in names if (value := getattr(asked, name)) is not None}
    if path.endswith("/") or Path(path).is_dir():
        path = str(Path(path) / f"{asked.recipe}-{time.strftime('%Y%m%d-%H%M%S')}.h5")
    print(recipe.main(path, **options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
