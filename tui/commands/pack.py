"""Copy a run, even one that is being recorded, crashed or in parts, into one sealed file."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run: NAME.h5, NAME.d or the bare name")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the new file, one.h5")


def run(args: argparse.Namespace) -> int:
    from recorder.number import size
    from recorder.runfile.pack import pack

    out = pack(args.run.expanduser(), args.output.expanduser()).absolute()
    print(f"{out} ({size(out.stat().st_size)})")
    return 0
