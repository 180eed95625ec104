"""What is the run called, and who has that name first?"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recorder.errors import RecordError, RunExistsError
from recorder.recording.resume import Start, is_folder
from recorder.runfile.writer import RunWriter

ATTEMPTS = 1000


def writer_at(path: str | os.PathLike[str], *, meta: Mapping[str, Any], start: Start = Start()) -> RunWriter:  # noqa: B008
    """The writer of the run at "runs/mlp.h5" or "runs/mlp"; in a folder ("runs/"), of one with a name of its own.

    That name is <script>-<date>-<time>.h5, with -<array job>_<task> under SLURM, and -2, -3, ... where others were as
    fast. RunExistsError where the one name that was asked for is taken.
    """
    if not is_folder(path):
        return RunWriter(file_at(path), meta=meta, extend=start.extends, resumed=start.resumed)
    name = f"{program()}-{time.strftime('%Y%m%d-%H%M%S')}{array_task()}"
    for number in range(1, ATTEMPTS):
        try:
            return RunWriter(Path(path) / (f"{name}-{number}.h5" if number > 1 else f"{name}.h5"), meta=meta)
        except RunExistsError:
            continue
    raise RecordError(f"{path}: {ATTEMPTS} runs began here in one second; give a file's name instead of a folder")


def file_at(path: str | os.PathLike[str]) -> Path:
    """The run's file: "runs/mlp" -> runs/mlp.h5."""
    file = Path(path)
    return file if file.suffix == ".h5" else file.with_name(f"{file.name}.h5")


def array_task() -> str:
    """Which task of a SLURM array this is, as SLURM writes it: -4711_3; "" elsewhere."""
    job, task = (os.environ.get(f"SLURM_ARRAY_{what}_ID", "") for what in ("JOB", "TASK"))
    return f"-{job}_{task}" if job.isdigit() and task.isdigit() else ""


def program() -> str:
    """The script that runs: train.py -> train, python -m package -> package, a notebook or a prompt -> run."""
    script = Path(sys.argv[0]) if sys.argv else Path()
    if script.stem == "__main__":
        return script.parent.name
    return script.stem if script.suffix == ".py" and script.stem != "ipykernel_launcher" else "run"
