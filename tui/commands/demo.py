"""Record a real training, then explore it; without a terminal, print its summary and write its figures.

The training runs in a process of its own, because the explorer never loads a framework.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tui.commands.explore import COLOURS, interactive


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", default="mnist_mlp", metavar="NAME", help="mnist_mlp (default)")
    parser.add_argument("--path", default="runs/", help="the run's file, or a folder (default: runs/)")
    parser.add_argument(
        "--data", choices=("digits", "torchvision"), default="digits", help="torchvision downloads MNIST"
    )
    parser.add_argument("--epochs", type=int, default=5, help="default: 5")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--color", choices=COLOURS, default="auto", help="colours of the terminal (default: auto)")


def run(args: argparse.Namespace) -> int:
    words = [sys.executable, "-m", "recorder", "demo", args.recipe, "--path", args.path]
    words += ["--data", args.data, "--epochs", str(args.epochs), "--seed", str(args.seed)]
    trained = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    lines = trained.stdout.splitlines()
    if trained.returncode or not lines:
        return trained.returncode or 1
    path = Path(lines[-1])  # the recorder says last where the run is
    if interactive():
        from tui.app import run_explorer

        return run_explorer(path, fresh=True, color=args.color)
    from tui import summary
    from tui.cli import main

    print(summary.of_path(path), end="\n\n", flush=True)
    return main(["export", str(path), "--all", "-o", str(path.with_name(f"{path.stem}-figures"))])
