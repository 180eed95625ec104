"""Opens a file by every door through which layerscope reads one, in a child: what breaks or hangs there is seen here.

A door's outcome is "view" (it showed something), "refused: ..." (one clear error), or "fault: ..." (anything else).
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recorder import open_run
from recorder.entries import entries
from recorder.errors import ExportError, LayerscopeError, NotRecordedError
from recorder.runfile.pack import pack, repair
from recorder.runfile.reader import Run
from recorder.view import At, Window
from tui import summary
from tui.cli import main

ROOT = Path(__file__).parents[2]
SECRET = b"the bytes of another file"  # what lies outside the run in the corpus; no door may give it
PATIENCE = 60.0  # seconds after which a child counts as hanging; far above what any file takes


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    doors: dict[str, str]  # door -> "view", "refused: ...", "fault: ..."
    leaks: tuple[str, ...]  # doors that gave a byte from outside the run
    seconds: float
    peak: int  # bytes of memory, the most since the child began
    end: str = ""  # "crash (signal 11)", "hang": the child did not live to tell

    @property
    def faults(self) -> list[str]:
        """What must not happen."""
        return [f"{door}: {said}" for door, said in self.doors.items() if said.startswith("fault")]


class Child:
    """A process that looks at files for us; begun again after one that it did not survive."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, path: Path, *doors: str) -> Outcome:
        """What these doors say of the run at `path`; all of them where none is named."""
        if self._process is None:
            code = "from tests.runfile.doors import serve; serve()"
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([str(path), doors or tuple(DOORS)]).encode() + b"\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            self.close()
            return Outcome({}, (), PATIENCE, 0, "hang")
        answer = process.stdout.readline()
        if not answer:
            self._process = None
            return Outcome({}, (), 0.0, 0, f"crash (status {process.wait()})")
        told, leaks, seconds, peak = json.loads(answer)
        return Outcome(told, tuple(leaks), seconds, peak)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve() -> None:
    """The child: a path and doors a line in, an outcome a line out."""
    warnings.simplefilter("ignore")
    out = sys.stdout
    for line in sys.stdin:
        path, names = json.loads(line)
        began = time.perf_counter()
        doors, leaks = {}, []
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                doors[name], leaked = _through(DOORS[name], Path(path), Path(folder))
                leaks += [name] * leaked
        print(json.dumps([doors, leaks, time.perf_counter() - began, _peak()]), file=out, flush=True)


def _peak() -> int:
    """The most memory so far, without what the parent had, which `ru_maxrss` counts on Linux."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _through(door: Callable[[Path, Path], Any], path: Path, folder: Path) -> tuple[str, bool]:
    heard = io.StringIO()
    said, given = "view", ""
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        try:
            given = door(path, folder)
        except LayerscopeError as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"fault: {type(error).__name__}: {error}"
    told = f"{said}{given}{heard.getvalue()}".encode("utf-8", "replace")
    files = [p.read_bytes() for p in folder.rglob("*") if p.is_file()]
    return said[:600], any(SECRET in text for text in (told, *files))


def reading(path: Path, _: Path) -> str:
    """`open_run` and all numbers and texts that a notebook can ask of it."""
    with open_run(path) as run:
        told = [repr(x) for x in (run, run.meta, run.series, run.events, run.error, run.steps, run.axes, run.size)]
        for name, series in run.series.items():
            for item in (None, *series.items[:3]):
                for ask in (_window, _row, _rows):
                    with contextlib.suppress(NotRecordedError):
                        told.append(_text(ask(run, name, item)))
    return "".join(told)


def drawing(path: Path, _: Path) -> str:
    """Every chart."""
    told = []
    with open_run(path) as run:
        for entry in entries(run):
            with contextlib.suppress(NotRecordedError):
                told.append(repr(run.chart(entry.name, item=entry.item or next(iter(entry.items), None)).view))
                told.append(repr(entry.draw(run, entry.series, At(), Window())))
    return "".join(told)


def _window(run: Run, name: str, item: str | None) -> np.ndarray:
    return run.window(name, Window(points=20), item).max


def _row(run: Run, name: str, item: str | None) -> np.ndarray:
    return run.row(name, item=item)[1]


def _rows(run: Run, name: str, item: str | None) -> np.ndarray:
    return run.rows(name, item or next(iter(run.series[name].items), ""), Window(points=20))[1]


def listing(path: Path, _: Path) -> str:
    """`layerscope ls`, which never refuses."""
    return summary.json_of_folder(path.parent) + summary.of_folder(path.parent)


def info(path: Path, _: Path) -> str:
    return summary.json_of_run(path) + summary.of_path(path)


def packing(path: Path, folder: Path) -> str:
    return reading(pack(path, folder / "packed.h5"), folder)


def repairing(path: Path, _: Path) -> str:
    """In place, so it comes last."""
    return reading(repair(path), path)


def exporting(path: Path, folder: Path) -> str:
    """`layerscope export RUN --all`."""
    if main(["export", str(path), "--all", "--csv", "--caption", "--format", "png", "-o", str(folder)]):
        raise ExportError("export said no")
    return ""


def _text(values: np.ndarray) -> str:
    if values.dtype == object:
        return "".join(_text(np.asarray(v)) for v in values)
    return str(values.tobytes()[: 1 << 20])


DOORS: dict[str, Callable[[Path, Path], str]] = {
    "open": reading,
    "charts": drawing,
    "ls": listing,
    "info": info,
    "pack": packing,
    "export": exporting,
    "repair": repairing,
}
