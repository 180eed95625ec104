"""Opens a file by every door through which layerscope reads one, in a child: what breaks or hangs there is seen here.

A door's outcome is "view" (it showed something), "refused: ..." (one clear error), or "fault: ..." (anything else).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import select
import signal
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
from recorder.runfile import sandbox
from recorder.runfile.pack import pack, repair
from recorder.runfile.reader import Run
from recorder.view import At, Window
from tui import summary
from tui.cli import main

ROOT = Path(__file__).parents[2]
SECRET = b"the bytes of another file"  # what lies outside the run in the corpus; no door may give it
PATIENCE = 60.0  # seconds after which a child counts as hanging; far above what any file takes on a busy machine
DEADLINE = 10.0  # seconds of CPU for one door: five times what is promised, since machines differ
MEMORY = 200 << 20  # bytes that reading may take, with all that is imported for it


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    doors: dict[str, str]  # door -> "view", "refused: ...", "fault: ..."
    leaks: tuple[str, ...]  # doors that gave a byte from outside the run
    seconds: float
    slowest: float  # seconds of CPU of its slowest door
    peak: int  # bytes of memory, the most since the child began, of it or of its sandbox
    end: str = ""  # "crash (signal 11)", "hang": the child did not live to tell

    @property
    def faults(self) -> list[str]:
        """What must not happen."""
        return [f"{door}: {said}" for door, said in self.doors.items() if said.startswith("fault")]


class Child:
    """A process that looks at files for us; begun again after one that it did not survive."""

    def __init__(self, *, memory: int = 0) -> None:
        """It gets no more memory than that; 0: as much as it wants."""
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, path: Path, *doors: str) -> Outcome:
        """What these doors say of the run at `path`; all of them where none is named."""
        if self._process is None:
            code = f"from tests.runfile.doors import serve; serve({self._memory})"
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
            return Outcome({}, (), PATIENCE, PATIENCE, 0, "hang")
        answer = process.stdout.readline()
        if not answer:
            self._process = None
            hung = process.wait() == -signal.SIGPROF
            return Outcome({}, (), 0.0, 0.0, 0, "hang" if hung else f"crash (status {process.returncode})")
        told, leaks, *numbers = json.loads(answer)
        return Outcome(told, tuple(leaks), *numbers)

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


def serve(memory: int) -> None:
    """The child: a path and doors a line in, an outcome a line out."""
    warnings.simplefilter("ignore")
    if memory:  # address space, of which what is used is a part: so much more than is used now
        resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + memory - _status("VmRSS"), resource.RLIM_INFINITY))
    out = sys.stdout
    for line in sys.stdin:
        path, names = json.loads(line)
        began = time.perf_counter()
        doors, leaks, slowest = {}, [], 0.0
        for name in names:
            signal.setitimer(signal.ITIMER_PROF, DEADLINE)  # ends the process
            before = _cpu()
            with tempfile.TemporaryDirectory() as folder:
                doors[name], leaked = _through(DOORS[name], Path(path), Path(folder))
                leaks += [name] * leaked
            signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, _cpu() - before)
        peak = max(_status("VmHWM"), _status("VmHWM", _sandbox()))
        print(json.dumps([doors, leaks, time.perf_counter() - began, slowest, peak]), file=out, flush=True)


def _sandbox() -> int | None:
    process = sandbox._sandbox._process
    return None if process is None else process.pid


def _status(field: str, pid: int | str | None = "self") -> int:
    """Bytes of memory, without what the parent had, which `ru_maxrss` counts on Linux."""
    with contextlib.suppress(OSError):
        found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) << 10 if found else 0
    return 0


def _cpu() -> float:
    """Seconds so far, of the sandbox too; of the living one as exactly as Linux says."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{_sandbox()}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


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
