"""What needs a framework runs here, in a process of its own: `python -m recorder demo [mnist_mlp]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from recorder.errors import LayerscopeError

RECIPES = ("mnist_mlp",)
EXTRA = "the demo trains with PyTorch, which is not installed here: pip install 'layerscope[torch]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. The last line of a demo's output is the path of its run."""
    parser = argparse.ArgumentParser(prog="python -m recorder", description="Trainings to try layerscope on.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train a small network and record it")
    demo.add_argument("recipe", nargs="?", choices=RECIPES, default=RECIPES[0])
    demo.add_argument("--path", default="runs/", help="the run's file, or a folder (default: runs/)")
    demo.add_argument("--data", choices=("digits", "torchvision"), default="digits", help="torchvision downloads MNIST")
    demo.add_argument("--epochs", type=int, default=5)
    demo.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    try:
        recipe = importlib.import_module(f"recorder.recipes.{asked.recipe}")
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        print(f"layerscope: {EXTRA}", file=sys.stderr)
        return 1
    path = asked.path
    if path.endswith("/") or Path(path).is_dir():
        path = str(Path(path) / f"{asked.recipe}-{time.strftime('%Y%m%d-%H%M%S')}.h5")
    try:
        print(recipe.main(path, data=asked.data, epochs=asked.epochs, seed=asked.seed))
    except LayerscopeError as problem:
        print(f"layerscope: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
