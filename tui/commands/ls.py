"""List the runs under a folder, the newest first."""

from __future__ import annotations

import argparse
from pathlib import Path

from recorder.errors import RunFileError
from recorder.runfile import sandbox


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where to look (default: .)")
    parser.add_argument("--json", action="store_true", help="as JSON, one object a run")


def run(args: argparse.Namespace) -> int:
    sandbox.start()  # before what takes longer to import
    from tui import summary
    from tui.charset import said

    folder: Path = args.folder.expanduser()
    if not folder.is_dir():
        raise RunFileError(f"{folder}: no such folder")
    print(summary.json_of_folder(folder) if args.json else said(summary.of_folder(folder)))
    return 0
