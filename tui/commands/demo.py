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

RECIPES = {
    "mnist_mlp": "PyTorch on 10,000 digits (default)",
    "photo_cnn": "Keras on patches of ten photographs",
}
FIGURES = (  # one for each kind of view; all entries would take minutes
    "loss", "val_accuracy", "gradient_norm", "update_ratio", "near_zero_share", "sign_flips_share", "sign_map",
    "weight_histogram", "gradient_histogram", "activation_histogram", "activation_zero_share", "correlation_mean_abs",
    "unit_correlation_overview", "cka", "augmentation_by_type", "events",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", nargs="?", choices=tuple(RECIPES), default="mnist_mlp", metavar="NAME",
        help="; ".join(f"{name}: {what}" for name, what in RECIPES.items()),
    )  # fmt: skip
    parser.add_argument("--path", default="runs/", help="the run's file, or a folder (default: runs/)")
    parser.add_argument("--data", metavar="DATA", help="torchvision (mnist_mlp), cifar10 (photo_cnn): downloaded once")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: 5 (mnist_mlp), 10 (photo_cnn)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--tensorboard", metavar="DIR", help="a folder for TensorBoard, which gets the scalars as well")
    parser.add_argument("--color", choices=COLOURS, default="auto", help="colours of the terminal (default: auto)")


def run(args: argparse.Namespace) -> int:
    path = Path(args.path)
    if args.path.endswith("/") or path.is_dir():
        path /= f"{args.recipe}-{time.strftime('%Y%m%d-%H%M%S')}.h5"
    print(f"Training {args.recipe}, recorded in {path}", flush=True)
    words = [sys.executable, "-m", "recorder", "demo", args.recipe, "--path", str(path)]
    for option in ("data", "epochs", "seed", "tensorboard"):
        if (value := getattr(args, option)) is not None:
            words += [f"--{option}", str(value)]
    trained = subprocess.run(words, check=False)  # it writes to the same terminal: its progress is seen
    if trained.returncode:
        return trained.returncode
    if interactive():
        from tui.app import run_explorer

        return run_explorer(path, fresh=True, color=args.color)
    from recorder.entries import entries
    from recorder.runfile.reader import Run
    from tui import summary
    from tui.charset import said
    from tui.cli import main

    print(said(summary.of_path(path)), end="\n\n", flush=True)
    with Run.open(path) as recorded:
        there = {entry.name for entry in entries(recorded)}
    chosen = [name for name in FIGURES if name in there]
    status = main(["export", str(path), *chosen, "-o", str(path.with_name(f"{path.stem}-figures"))])
    print(f"{len(chosen)} of {len(there)} views; for the others: layerscope export {path} --all")
    return status
