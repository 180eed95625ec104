"""Pack a run in place: its logs and parts become one sealed file, and nothing recorded is lost."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run: NAME.h5, NAME.d or the bare name")


def run(args: argparse.Namespace) -> int:
    from recorder.number import size
    from recorder.runfile.pack import repair

    path = repair(args.run.expanduser()).absolute()
    print(f"{path} ({size(path.stat().st_size)})")
    return 0
