"""Write views of a run as figures: PDF, SVG or PNG at the sizes of a journal; or its numbers for other tools.

layerscope export runs/mlp.h5 loss --log
layerscope export runs/mlp.h5 gradient_norm --item fc1.weight --preset double -o norm.pdf
layerscope export runs/mlp.h5 weight_histogram --step all --format png -o frames/
layerscope export runs/mlp.h5 --plate loss,gradient_norm,weight_histogram --caption
layerscope export runs/mlp.h5 --to json|csv|parquet|tensorboard
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.errors import ExportError, NotRecordedError
from tui.exchange import TOOLS
from tui.export import FORMATS, PRESETS, Written, stem
from tui.sheets import POINTS, panel_of, plate_of, steps_of, view_of

if TYPE_CHECKING:
    from recorder.chart import View
    from recorder.entries import Entry
    from recorder.runfile.reader import Run
    from tui.requests import Draw

MOST = 1000  # figures of one command, unless forced
OF_FIGURES = (
    "plate", "step", "panel", "samples", "x", "log", "smooth", "hide_outliers", "limits", "normalise", "colours",
    "format", "preset", "style", "csv", "caption",
)  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """A figure to be written: the name of its file and the views in it."""

    name: str
    views: tuple[Draw, ...]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run: NAME.h5, NAME.d or the bare name")
    what = parser.add_argument_group("what")
    what.add_argument("names", nargs="*", metavar="NAME", help="entries: loss, gradient_norm, ...")
    what.add_argument(
        "--to", type=_tool, metavar="TOOL", help="numbers instead of figures: json, csv, parquet, tensorboard"
    )
    what.add_argument("--all", action="store_true", help="every entry of the run")
    what.add_argument("--plate", metavar="A,B,C", help="several entries as panels of one figure, lettered a, b, c")
    what.add_argument("--item", help="the tensor, layer, ... to show")
    what.add_argument("--step", type=_step, metavar="S", help="the step of views that show one; all: a figure for each")
    what.add_argument("--panel", type=_positive, metavar="K", help="only the K-th panel of a view that has several")
    how = parser.add_argument_group("how")
    how.add_argument("--from", dest="lo", type=int, metavar="STEP", help="begin at this step")
    how.add_argument("--until", dest="hi", type=int, metavar="STEP", help="end at this step")
    how.add_argument("--x", choices=("step", "epoch", "time"), default="step", help="the horizontal axis")
    how.add_argument(
        "--parameters", nargs=2, type=int, metavar=("A", "B"), help="of a sign map: from the A-th up to the B-th"
    )
    how.add_argument("--samples", nargs=2, type=int, metavar=("A", "B"), help="of a map of samples: which are shown")
    scale = how.add_mutually_exclusive_group()
    scale.add_argument("--log", dest="log", action="store_true", default=None, help="values by factors")
    scale.add_argument(
        "--linear", dest="log", action="store_false", help="values evenly, also where factors suit better"
    )
    how.add_argument("--smooth", type=_factor, default=0.0, metavar="F", help="moving average, 0 to 0.99")
    how.add_argument("--hide-outliers", action="store_true", help="limits without the few values far from the rest")
    how.add_argument("--limits", nargs=2, type=float, metavar=("LO", "HI"), help="limits of the values")
    how.add_argument("--normalise", choices=("global", "row", "column"), default="global", help="of heat maps")
    how.add_argument("--map", dest="colours", metavar="NAME", help="matplotlib's colour map of heat maps (viridis)")
    where = parser.add_argument_group("where to")
    where.add_argument("-o", "--output", metavar="PATH", help="a file, or a folder for several (default: here)")
    where.add_argument("--format", choices=FORMATS, help="default: the ending of PATH, or pdf")
    where.add_argument("--preset", choices=PRESETS, help="3.5 in, 7.2 in, or 16:9 (default: single)")
    where.add_argument("--style", type=Path, metavar="FILE", help="a .mplstyle file, or the name of a style")
    where.add_argument("--csv", action="store_true", help="the plotted numbers beside the figure")
    where.add_argument("--caption", action="store_true", help="the caption's text beside the figure")
    where.add_argument("--force", action="store_true", help="overwrite what exists")


def run(args: argparse.Namespace) -> int:
    from recorder.runfile.reader import Run

    with Run.open(args.run.expanduser()) as opened:
        if args.to is not None:
            return _hand_over(opened, args)
        sheets = _sheets(opened, args)
        if len(sheets) > MOST and not args.force:
            many = f"that would be {len(sheets):,} figures"
            raise ExportError(f"{many}; narrow it with --from and --until, or add --force")
        written = 0
        for sheet, path in zip(sheets, _paths(sheets, args), strict=True):
            try:
                for file in _write(opened, sheet, path, args):
                    print(_told(file), flush=True)
                    written += 1
            except NotRecordedError as error:
                if not args.all:
                    raise
                print(f"layerscope: left out {sheet.name}: {error}", file=sys.stderr)
    if not written:
        raise ExportError(f"{args.run}: there is nothing to export yet")
    return 0


def _hand_over(opened: Run, args: argparse.Namespace) -> int:
    """The numbers themselves, for another tool."""
    from tui.exchange.files import handed
    from tui.exchange.quantities import Span

    parser = argparse.ArgumentParser()
    arguments(parser)
    unasked = parser.parse_args([str(args.run)])
    for option in OF_FIGURES:
        if getattr(args, option) != getattr(unasked, option):
            shown = {"colours": "map", "hide_outliers": "hide-outliers"}.get(option, option)
            raise ExportError(f"--{shown} is for figures, and --to {args.to} writes the numbers as they were recorded")
    span = Span(args.lo, args.hi)
    found = handed(opened, args.to, args.names, item=args.item, span=span, output=args.output)
    for file in found.write(force=args.force):
        print(_told(file), flush=True)
    if found.left_out:
        print(f"layerscope: TensorBoard has no view for {', '.join(found.left_out)}: left out", file=sys.stderr)
    return 0


def _sheets(opened: Run, args: argparse.Namespace) -> list[Sheet]:
    """What is to be written, checked before the first file is."""
    from recorder.entries import entries, find

    if sum((bool(args.names), args.all, args.plate is not None)) != 1:
        held = ", ".join(e.name for e in entries(opened)) or "nothing yet"
        raise ExportError(f"name what to export: entries, --all, or --plate A,B,C; the run holds {held}")
    if args.all:
        chosen = list(entries(opened))
    else:
        chosen = [find(opened, name) for name in args.names or args.plate.split(",")]
    if args.item is not None:
        without = [entry for entry in chosen if args.item not in entry.items]
        if len(without) == len(chosen) or (args.names and any(entry.item is None for entry in without)):
            _no_such_item(without, args.item)
    if args.plate is not None:
        if args.step == "all":
            raise ExportError("--step all makes a figure for each step; a --plate shows one step")
        name = stem("-".join(entry.name for entry in chosen))
        return [Sheet(name, tuple(_request(opened, entry, args, args.step) for entry in chosen))]
    return [sheet for entry in chosen for sheet in _of_entry(opened, entry, args)]


def _of_entry(opened: Run, entry: Entry, args: argparse.Namespace) -> Iterator[Sheet]:
    from tui.drawing import depends_on_step

    item = args.item if args.item in entry.items else None
    if not entry.series or not depends_on_step(entry) or args.step is None:
        yield Sheet(stem(entry.name, item=item), (_request(opened, entry, args, args.step),))
        return
    if args.step == "all":
        steps = steps_of(opened, entry, item=item, lo=args.lo, hi=args.hi)
    else:
        steps = [opened.row(entry.series, args.step, item)[0]]
    for step in steps:
        yield Sheet(stem(entry.name, item=item, step=step), (_request(opened, entry, args, step),))


def _request(opened: Run, entry: Entry, args: argparse.Namespace, step: int | None) -> Draw:
    """The same request that the explorer makes, so that its figures are these."""
    from recorder.view import Window
    from tui.requests import Draw
    from tui.state import Options

    options = Options(
        log=args.log,
        smoothing=args.smooth,
        outliers=args.hide_outliers,
        limits=tuple(args.limits) if args.limits else None,
        normalise=args.normalise,
    )
    item = args.item if args.item in entry.items else None
    window = Window(args.lo, args.hi, POINTS, args.x, tuple(args.parameters) if args.parameters else None)
    samples = tuple(args.samples) if args.samples else None
    return Draw(opened.path, entry.name, item=item, step=step, window=window, options=options, samples=samples)


def _paths(sheets: list[Sheet], args: argparse.Namespace) -> list[Path]:
    """Where each figure goes; names that fall together are numbered."""
    ending = f".{args.format or 'pdf'}"
    if args.output is not None:
        output = Path(args.output).expanduser()
        if len(sheets) == 1 and output.suffix and not output.is_dir() and not args.output.endswith(os.sep):
            return [output]
        if output.suffix.lower()[1:] in FORMATS and not output.is_dir():
            raise ExportError(f"{output} is one file, and there are {len(sheets):,} figures; name a folder")
    else:
        output = Path()
    seen: dict[str, int] = {}
    paths = []
    for sheet in sheets:
        seen[sheet.name] = seen.get(sheet.name, 0) + 1
        number = f"-{seen[sheet.name]}" if seen[sheet.name] > 1 else ""
        paths.append(output / f"{sheet.name}{number}{ending}")
    return paths


def _write(opened: Run, sheet: Sheet, path: Path, args: argparse.Namespace) -> tuple[Written, ...]:
    from tui.export import export

    views = [view_of(opened, request) for request in sheet.views]
    view: View
    if args.plate is not None:
        view = plate_of(views, preset=args.preset, panel=args.panel or 1)
    else:
        view = views[0] if args.panel is None else panel_of(views[0], args.panel)
    return export(
        view, path, format=args.format, preset=args.preset, style=args.style, colours=args.colours, force=args.force,
        csv=args.csv, caption=args.caption, letters=args.plate is not None,
    )  # fmt: skip


def _no_such_item(chosen: list[Entry], item: str) -> None:
    from difflib import get_close_matches

    known = [name for entry in chosen for name in entry.items]
    near = get_close_matches(item, dict.fromkeys(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see layerscope info RUN"
    where = ", ".join(entry.name for entry in chosen[:3]) + (", ..." if len(chosen) > 3 else "")
    raise NotRecordedError(f"{where}: no item {item!r}; {hint}")


def _told(file: Written) -> str:
    """The path and size; over SSH also how to fetch it."""
    return f"{file}\n  {file.scp}" if "SSH_CONNECTION" in os.environ else str(file)


def _step(text: str) -> int | str:
    if text == "all":
        return "all"
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a step or all, got {text!r}") from None


def _tool(text: str) -> str:
    if text in TOOLS:
        return text
    hint = "; the last step is --until" if text.isdecimal() else ""
    raise argparse.ArgumentTypeError(f"expected {', '.join(TOOLS)}, got {text!r}{hint}")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1, 2, ..., got {text!r}")
    return int(text)


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = -1.0
    if not 0 <= factor <= 0.99:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 0.99, got {text!r}")
    return factor
