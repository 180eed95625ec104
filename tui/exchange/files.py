"""Which files are written, and where? One for JSON and for TensorBoard, one a quantity for CSV and Parquet."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from recorder.errors import ExportError
from recorder.event_file import check_installed, event_files, file_name
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event
from tui.exchange import Tool, corr_means, json_file, tables, tensorboard
from tui.exchange.quantities import EVENTS, Quantity, Span, quantities
from tui.export import Written, check_free, one_file, stem, whole

SERIES = "series.json"  # units, dimensions and sentences, beside the tables of numbers
Content = Callable[[BinaryIO], None]


@dataclass(frozen=True)
class Handed:
    """What is to be written, and what the tool has no place for."""

    files: dict[Path, Content]
    left_out: tuple[str, ...] = ()

    def write(self, *, force: bool = False) -> Iterator[Written]:
        """Write each file whole or not at all; none where one of them exists, unless `force`d."""
        if not force:
            for path in self.files:
                check_free(path)
        for path, content in self.files.items():
            with whole(path) as file:
                content(file)
            yield Written(path, path.stat().st_size)


def handed(
    run: Run, tool: Tool, names: Sequence[str] = (), *, item: str | None = None, span: Span = Span(),  # noqa: B008  frozen
    output: str | None = None,
) -> Handed:  # fmt: skip
    """The files of these names, or of everything that was recorded.

    `output` is the file or its folder, for CSV, Parquet and TensorBoard the folder; None: named after the run, here.

    Raises:
        NotRecordedError: no such name or item.
        ExportError: nothing to hand over, or a library that the tool needs is missing.
    """
    if corr_means.asked(names):
        return _corr_means(run, tool, names, item=item, span=span, output=output)
    chosen = quantities(run, [name for name in names if name != EVENTS], item=item, span=span)
    if list(names) == [EVENTS]:
        chosen = []
    told = list(run.events) if item is None and (not names or EVENTS in names) else []
    told = [e for e in told if (span.lo or 0) <= e.step and (span.hi is None or e.step <= span.hi)]
    if not chosen and not told:
        raise ExportError(f"{run.path}: there is nothing to export yet")
    if tool == "json":
        path = one_file(output, f"{stem(run.name)}.json")
        return Handed({path: partial(json_file.write, run=run, quantities=chosen, events=told)})
    if tool == "tensorboard":
        return _event_file(run, chosen, told, _path(output or f"{stem(run.name)}-tensorboard"), asked=bool(names))
    return _tables(run, tool, chosen, told, output)


def _corr_means(
    run: Run, tool: Tool, names: Sequence[str], *, item: str | None, span: Span, output: str | None
) -> Handed:  # fmt: skip
    if tool != "json":
        raise ExportError(f"{names[0]} is a JSON file: --to json; for --to {tool} export {corr_means.SERIES}")
    found = corr_means.contents(run, names, span=span, item=item)
    paths = corr_means.paths(output, stem(names[0]), list(found))
    return Handed({path: partial(_write_text, text=text) for path, text in zip(paths, found.values(), strict=True)})


def _event_file(run: Run, chosen: list[Quantity], told: list[Event], folder: Path, *, asked: bool) -> Handed:
    check_installed()
    shown = [q for q in chosen if tensorboard.shown(q)]
    left_out = tuple(q.name for q in chosen if q not in shown)
    if (asked and left_out) or not (shown or told):
        raise ExportError(f"TensorBoard has no view for {', '.join(left_out)}; use --to json, csv or parquet")
    path = folder / file_name(run.started, stem(run.name))
    if other := [p.name for p in event_files(folder) if p != path]:
        raise ExportError(f"{folder} holds events of another run ({other[0]}), which would be mixed; name a new folder")
    return Handed({path: partial(tensorboard.write, run=run, quantities=shown, events=told)}, left_out)


def _tables(run: Run, tool: Tool, chosen: list[Quantity], told: list[Event], output: str | None) -> Handed:
    if tool == "parquet":
        tables.arrow()
    of_numbers, of_events = {
        "csv": (tables.write_csv, tables.write_events_csv),
        "parquet": (tables.write_parquet, tables.write_events_parquet),
    }[tool]
    contents: dict[str, Content] = {q.name: partial(of_numbers, quantity=q) for q in chosen}
    if told:
        contents[EVENTS] = partial(of_events, events=told)
    if output is not None and Path(output).suffix == f".{tool}" and not output.endswith(os.sep):
        if len(contents) > 1:
            raise ExportError(f"{output} is one file, and there are {len(contents)} tables; name a folder")
        return Handed({_path(output): next(iter(contents.values()))})
    folder = _path(output or f"{stem(run.name)}-{tool}")
    files: dict[Path, Content] = {}
    paths: dict[str, str] = {}
    for name, content in contents.items():
        path = _free(folder, stem(name), tool, files)
        files[path], paths[name] = content, path.name
    about = {q.name: {"file": paths[q.name], **json_file.header(q), "items": list(q.items)} for q in chosen}
    text = json.dumps({"run": json_file.about(run), "series": about}, indent=1, ensure_ascii=False, default=str)
    return Handed({folder / SERIES: partial(_write_text, text=f"{text}\n"), **files})


def _write_text(file: BinaryIO, text: str) -> None:
    file.write(text.encode())


def _free(folder: Path, name: str, tool: Tool, files: dict[Path, Content]) -> Path:
    """Names that fall together as files are numbered."""
    taken = {path.name.lower() for path in files}
    number = next(k for k in range(1, len(files) + 2) if _numbered(name, k, tool).lower() not in taken)
    return folder / _numbered(name, number, tool)


def _numbered(name: str, k: int, tool: Tool) -> str:
    return f"{name}-{k}.{tool}" if k > 1 else f"{name}.{tool}"


def _path(output: str) -> Path:
    return Path(output).expanduser().absolute()
