"""Record a real training, then explore it; without a terminal, print its summary and write its figures.

The training runs in a process of its own, because the explorer never loads a framework.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
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
    path = Path(args.path)
    if args.path.endswith("/") or path.is_dir():
        path /= f"{args.recipe}-{time.strftime('%Y%m%d-%H%M%S')}.h5"
    print(f"Training {args.recipe}, recorded in {path}", flush=True)
    words = [sys.executable, "-m", "recorder", "demo", args.recipe, "--path", str(path)]
    words += ["--data", args.data, "--epochs", str(args.epochs), "--seed", str(args.seed)]
    trained = subprocess.run(words, check=False)  # it writes to the same terminal: its progress is seen
    if trained.returncode:
        return trained.returncode
    if interactive():
        from tui.app import run_explorer

        return run_explorer(path, fresh=True, color=args.color)
    from tui import summary
    from tui.charset import said
    from tui.cli import main

    print(said(summary.of_path(path)), end="\n\n", flush=True)
    return main(["export", str(path), "--all", "-o", str(path.with_name(f"{path.stem}-figures"))])
