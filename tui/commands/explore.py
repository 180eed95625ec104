"""Open the explorer on a folder of runs, or on one run; without a terminal, say what is there."""

from __future__ import annotations

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path

from recorder.errors import RunFileError
from recorder.runfile import sandbox

COLOURS = ("auto", "truecolor", "256", "16", "none")


def arguments(parser: argparse.ArgumentParser) -> None:
    from tui.cli import COMMANDS

    parser.add_argument("path", nargs="?", type=Path, default=Path(), help="a folder of runs, or a run (default: .)")
    parser.add_argument("--fresh", action="store_true", help="do not go on where the explorer was left")
    parser.add_argument("--color", choices=COLOURS, default="auto", help="colours of the terminal (default: auto)")
    parser.add_argument("--version", action="store_true", help="say which version this is")
    parser.set_defaults(commands=tuple(COMMANDS))


def run(args: argparse.Namespace) -> int:
    if args.version:
        from importlib.metadata import version

        print(f"layerscope {version('layerscope')}")
        return 0
    sandbox.start()  # before what takes longer to import
    path: Path = args.path.expanduser()
    if not there(path):
        near = get_close_matches(str(path), args.commands, n=1)
        hint = f"; did you mean the command {near[0]!r}?" if near else ""
        raise RunFileError(f"{path}: no such folder or run{hint}")
    if interactive():
        from tui.garbage import keep_everything

        keep_everything()
        from tui.app import run_explorer

        return run_explorer(path, fresh=args.fresh, color=args.color)
    from tui import summary
    from tui.charset import said

    print(said(summary.of_folder(path) if is_folder(path) else summary.of_path(path)))
    return 0


def interactive() -> bool:
    """Is somebody there to press keys?"""
    return sys.stdin.isatty() and sys.stdout.isatty()


def is_folder(path: Path) -> bool:
    """A folder of runs, rather than the folder that belongs to one."""
    return path.is_dir() and path.suffix != ".d"


def there(path: Path) -> bool:
    """Is there something at the path, or a run of that name?"""
    from recorder.runfile.layout import run_paths  # late: the help of a command needs no numpy

    return path.exists() or any(part.exists() for part in run_paths(path))
