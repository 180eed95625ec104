"""Say what a run is, where it comes from, and what is recorded in it."""

from __future__ import annotations

import argparse
from pathlib import Path

from recorder.runfile import sandbox


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run: NAME.h5, NAME.d or the bare name")
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(args: argparse.Namespace) -> int:
    sandbox.start()  # before what takes longer to import
    from tui import summary
    from tui.charset import said

    path: Path = args.run.expanduser()
    print(summary.json_of_run(path) if args.json else said(summary.of_path(path)))
    return 0
